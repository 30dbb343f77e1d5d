"""The replay server, and folders of rollouts: see rollout_fixtures.py."""

from rollout_fixtures import command, folders, judge_at_hand, replaying, sky_config, sky_problems, start_replay  # noqa: F401
