"""A language model that answers from a list, and remembers what it was asked."""

from fairnad.llm.base import Finish, Reply


class ScriptedLLM:
    name = "scripted"

    def __init__(self, *replies):
        self._replies = list(replies)
        self.prompts = []
        self.services = []

    def complete(self, prompt, service):
        self.prompts.append(prompt)
        self.services.append((service.served, service.number))
        reply = self._replies.pop(0)
        return reply if isinstance(reply, Reply) else Reply(reply)


def cut(text):
    return Reply(text, Finish.LENGTH)


def fenced(code):
    return f"Here it is.\n\n```python\n{code}\n```\n"
