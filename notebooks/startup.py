"""Say what to do about a name that a cell above defines: start.py has every kernel run this."""

from IPython import get_ipython


def explain(shell, kind, error, traceback, tb_offset=None):
    """Show a NameError with one sentence more."""
    shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)
    print(
        "If a cell above defines this name, run that cell first. The menu Run has "
        "'Run All Above Selected Cell'."
    )


if get_ipython():  # not in a plain Python that a terminal of JupyterLab opens
    get_ipython().set_custom_exc((NameError,), explain)
