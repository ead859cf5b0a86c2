"""The shipped weights from random ones: a small Qwen2.5-VL that names objects, and a teacher."""
