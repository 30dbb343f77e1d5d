"""Programs of the demo, traced by the program that writes the thought."""

from random import Random

from demo_rows.problem import Problem, Task, bracket, check, joined
from virgo_factory.demo.visual_rows import closing, opening


def loop(rng: Random, slip: bool) -> Problem:
    """What a loop prints; the slip takes the end of the range as included."""
    start, stop, step = rng.randint(0, 4), rng.randint(9, 22), rng.randint(1, 3)
    divisor, factor, total = rng.randint(2, 4), rng.randint(2, 4), rng.randint(0, 9)
    if slip:
        stop -= (stop - start) % step  # else the end of the range is not reached and the slip changes nothing
    lines, value = [], total

    def turn(i: int, value: int) -> tuple[str, int]:
        after = value + factor * i if i % divisor == 0 else value - 1
        return f"i = {i}: {i} % {divisor} = {i % divisor}, so t = {value} {_change(i)} = {after}.", after

    def _change(i: int) -> str:
        return f"+ {factor} * {i}" if i % divisor == 0 else "- 1"

    values = list(range(start, stop, step))
    for i in values:
        line, value = turn(i, value)
        lines.append(line)
    thought = [opening(rng), f"At first t = {total}.", *lines]
    if slip:
        line, wrong = turn(stop, value)
        thought += [
            line,
            f"So it prints {wrong}.",
            f"Wait, range({start}, {stop}, {step}) ends before {stop}, so the turn i = {stop} never happens.",
        ]
    hits = [i for i in values if i % divisor == 0]
    thought += [
        f"So it prints {value}.",
        (
            f"{check(rng)} The loop has {len(values)} turns. i is divisible by {divisor} for {joined(hits) or 'none'}, "
            f"sum {sum(hits)}: {total} + {factor} * {sum(hits)} - {len(values) - len(hits)} = {value}. {closing(rng)}"
        ),
    ]
    program = (
        f"t = {total}\nfor i in range({start}, {stop}, {step}):\n    if i % {divisor} == 0:\n"
        f"        t += {factor} * i\n    else:\n        t -= 1\nprint(t)"
    )
    question = f"What does this Python program print?\n```python\n{program}\n```"
    return Problem(question, tuple(thought), f"After {len(values)} turns t holds the result.", str(value))


def bubble(rng: Random, slip: bool) -> Problem:
    """How many swaps bubble sort makes; the slip stops one pass early, found by looking at the list."""
    while True:
        numbers = rng.sample(range(1, 60), rng.randint(5, 7))
        passes, swaps, items = [], [], list(numbers)
        while True:
            made = []
            for i in range(len(items) - 1):
                if items[i] > items[i + 1]:
                    made.append((items[i], items[i + 1]))
                    items[i], items[i + 1] = items[i + 1], items[i]
            if not made:
                break
            passes.append(f"Pass {len(passes) + 1}: swap {joined(made, ', ')}. List: {joined(items)}.")
            swaps.append(len(made))
        if len(swaps) > 2:
            break
    inversions = [(a, b) for i, a in enumerate(numbers) for b in numbers[i + 1 :] if a > b]
    other = f"The pairs in the wrong order are {joined(inversions)}: {len(inversions)}. Every swap repairs one."
    thought = [opening(rng), f"I run the passes over {joined(numbers)}."]
    if slip:
        thought += [*passes[:-1], f"That makes {joined(swaps[:-1], ' + ')} = {sum(swaps[:-1])} swaps.", check(rng)]
        thought += [other, f"Wait, I have {sum(swaps[:-1])}: the list is not sorted yet. One more pass.", passes[-1]]
    else:
        thought += passes
    thought.append(f"The swaps are {joined(swaps, ' + ')} = {sum(swaps)}.")
    if not slip:
        thought.append(f"{check(rng)} {other}")
    thought.append(closing(rng))
    question = f"How many swaps does bubble sort make to bring the list {numbers} into ascending order?"
    return Problem(question, tuple(thought), f"The list is sorted after {len(swaps)} passes.", str(sum(swaps)))


def stack(rng: Random, slip: bool) -> Problem:
    """The value of a postfix expression; the slip takes the operands of a minus in the wrong order."""
    while True:
        program, depth = [str(rng.randint(2, 12)), str(rng.randint(2, 12))], 2
        for _ in range(rng.randint(4, 7)):
            if depth > 1 and rng.random() < 0.6:
                program.append(rng.choice("+-*"))
                depth -= 1
            else:
                program.append(str(rng.randint(2, 12)))
                depth += 1
        program += [rng.choice("+-") for _ in range(depth - 1)]
        lines, (value,), (wrong,) = _run(program)
        if abs(value) < 5000 and "-" in program and wrong != value:
            one, two = _run(program[: program.index("-")])[1][-2:]
            if one != two:
                break
    thought = [opening(rng), "I keep a stack and read from left to right."]
    if slip:
        index = program.index("-")
        thought += lines[:index]
        thought.append(f"-: takes {bracket(two)} - {bracket(one)} = {two - one}.")
        thought.append("Wait, the value on top is the right operand, so the order is the other way round.")
        thought += lines[index:]
    else:
        thought += lines
    thought.append(f"{check(rng)} One value is left on the stack: {value}. {closing(rng)}")
    question = f"What is the value of the postfix expression {joined(program, ' ')} ?"
    return Problem(question, tuple(thought), "Reading from left to right leaves one value.", str(value))


def _run(program: list[str]) -> tuple[list[str], list[int], list[int]]:
    """Return the trace of a postfix program, its stack, and the stack when every minus is turned round."""
    lines: list[str] = []
    values: list[int] = []
    turned: list[int] = []
    for word in program:
        if word.isdigit():
            values.append(int(word))
            turned.append(int(word))
            lines.append(f"{word}: push. Stack {joined(values)}.")
            continue

        (two, one), (two_turned, one_turned) = (values.pop(), values.pop()), (turned.pop(), turned.pop())
        result = {"+": one + two, "-": one - two, "*": one * two}[word]
        values.append(result)
        turned.append({"+": one_turned + two_turned, "-": two_turned - one_turned, "*": one_turned * two_turned}[word])
        lines.append(f"{word}: takes {bracket(one)} {word} {bracket(two)} = {result}. Stack {joined(values)}.")
    return lines, values, turned


TASKS: dict[str, Task] = {task.__name__: task for task in (loop, bubble, stack)}
