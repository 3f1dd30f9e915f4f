"""Who writes code: from a parent and an idea to a draft, and from a refused draft to a mended one."""
