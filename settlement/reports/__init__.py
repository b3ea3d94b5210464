"""The pandas room: what a night, and a period of nights, look like to those who read them.

Money stays exact: numerics come as Decimal, minor units as int; floats are for drawing alone. Nothing is
imported here: who needs an error or a span need not load pandas, and a worker need not load what draws.
"""
