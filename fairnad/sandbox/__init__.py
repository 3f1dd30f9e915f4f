"""Where every child process comes from: the controller asks `launch`, a warm `zygote` forks, `wire` is what they say."""
