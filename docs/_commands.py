"""The page of the command line, made from the commands themselves."""

import re
import textwrap

from dnaembed.cli._main import parser


def _literal(text, language="console"):
    return f".. code-block:: {language}\n\n{textwrap.indent(text.strip(chr(10)), '    ')}\n"


def _words(text):
    """Escape what reStructuredText would take for markup; options and files are code."""
    text = re.sub(r"([*`|\\_])", r"\\\1", text)
    return re.sub(r"(?<![\w-])(-{1,2}[a-z][\w-]*)(?![\w-])", r"``\1``", text)


def _title(text, mark):
    return f"{text}\n{mark * len(text)}\n"


def _command(name, command):
    context = command.context_class(command, info_name=f"dnaembed {name}")
    usage = " ".join(command.get_usage(context).removeprefix("Usage: ").split())
    parts = [
        f".. _dnaembed-{name}:\n",
        _title(f"dnaembed {name}", "-"),
        _words(command.help) + "\n",
    ]
    parts.append(_literal(textwrap.fill(f"$ {usage}", 84, subsequent_indent="    ")))
    panels = {}
    for parameter in command.get_params(context):
        names, text = parameter.get_help_record(context)
        if parameter.param_type_name == "argument":
            names = f"{parameter.metavar or parameter.name.upper()}"
        panel = parameter.rich_help_panel or ("Options" if names.startswith("-") else "Arguments")
        required = parameter.required and "[required]" not in text
        text = text.replace("  [", " [") + (" [required]" if required else "")
        panels.setdefault(panel, []).append(f"``{names}``\n    {_words(' '.join(text.split()))}\n")
    for panel in sorted(panels, key=_order):
        parts += [f".. rubric:: {panel}\n", *panels[panel]]
    examples = textwrap.dedent(command._examples)
    parts += [".. rubric:: Examples\n", _literal(examples, "text")]
    return "\n".join(parts)


def _order(panel):
    first = ("Arguments", "Options")
    return (first.index(panel) if panel in first else len(first), panel == "Messages")


def overview():
    """Return a table of the commands."""
    rows = [
        f'    :ref:`{name} <dnaembed-{name}>`, "{_words(command.help.partition(chr(10))[0])}"\n'
        for name, command in parser().commands.items()
    ]
    return ".. csv-table::\n\n" + "".join(rows)


def page():
    """Return a section for each command."""
    return "\n".join(_command(name, command) for name, command in parser().commands.items())
