"""Is a unit alive? Definitions that can be told apart, measured on a fixed probe of training inputs."""
