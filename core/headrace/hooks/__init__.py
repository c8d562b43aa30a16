"""How headrace finds, loads and calls plugins.

`specs` is the manual of every hook. A plugin travels through the other modules in this order: `scan` lists what is
installed, `policy` decides what may load, `registry` loads one plugin when somebody names it, `observers` tells the
loaded ones what happens in a run. `doctor` examines a plugin in a process of its own.

Plugin authors need none of this: they import `headrace.plugins` and `headrace.abc`.
"""
