"""The shipped weights, from nothing: a small Qwen2.5-VL that names what it sees, and a teacher."""
