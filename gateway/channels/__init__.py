"""Ways to reach people: one file each, none knowing another."""
