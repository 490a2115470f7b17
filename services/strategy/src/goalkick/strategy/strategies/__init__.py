"""The strategies that come with Goalkick: one class per file, found by the folder's own listing."""
