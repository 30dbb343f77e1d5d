"""Write the rows that ship with the demo anew; the same bytes every time."""

from demo_rows import long_thoughts, scenes


for make in (long_thoughts.write, scenes.write):
    print(make())
