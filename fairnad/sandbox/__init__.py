"""Where child processes come from: `launch` asks, a warm `zygote` forks, `wire` is what they say."""
