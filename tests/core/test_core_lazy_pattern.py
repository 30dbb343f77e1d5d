"""Patterns that are compiled when they are first used behave as compiled ones do."""

import pickle
import re

from virgo_factory.core.lazy_pattern import LazyPattern


def test_it_finds_what_a_compiled_pattern_finds():
    lazy, pattern = LazyPattern("(?P<word>[a-z]+)", re.IGNORECASE), re.compile("(?P<word>[a-z]+)", re.IGNORECASE)
    assert (lazy.pattern, lazy.groups, lazy.flags) == (pattern.pattern, pattern.groups, pattern.flags)
    assert lazy.findall("Ab 1 c") == pattern.findall("Ab 1 c") and lazy.sub("-", "Ab 1") == "- 1"
    assert lazy.search("Ab").lastgroup == "word"


def test_it_is_compiled_when_it_is_first_used():
    assert LazyPattern("(").pattern == "("


def test_it_can_be_pickled():
    assert pickle.loads(pickle.dumps(LazyPattern("a+"))).search("baa").group() == "aa"
