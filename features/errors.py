"""The errors that a user can fix.

::

    HeadraceError            exit code 2, one line: the rule, what came, what to do
    ├── DefinitionError      a definition that breaks a rule, or that no engine computes
    ├── SettingError         a setting, flag or file that does not fit
    └── StackError           a process or server that did not start, stop or respond
"""


class HeadraceError(Exception):
    """Something a user can fix; its text says the rule, what came, and what to do."""

    retriable = False


class DefinitionError(HeadraceError):
    """A definition breaks a rule, or wants what no engine computes."""


class SettingError(HeadraceError):
    """A setting, a flag or a file does not fit."""


class StackError(HeadraceError):
    """A process or a server did not start, stop or respond in time."""

    retriable = True
