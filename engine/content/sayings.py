"""What Jinja finds wrong, in the words of somebody who edits the template."""

from __future__ import annotations

import re

from engine.content.syntax import Finding

_ROWS: tuple[tuple[str, str, str, str], ...] = (
    # what Jinja says, the word to look for in the line, what, remedy
    (r"unexpected '[})\]]'", "{", "this bracket is not closed.", "Close {{ with }}, {% with %}, and ( with )."),
    (r"unexpected end of template, expected 'end of print", "{{", "this {{ is not closed.", "Put }} after the value."),
    (r"unexpected end of template, expected 'end of st", "{%", "this {% is not closed.", "Put %} after it."),
    (r"Unexpected end of template.* closed is '(\w+)'", "", "a {{% {0} %}} is never ended.", "Put {{% end{0} %}} where it ends."),
    (r"unknown tag '(\w+)'.* closed is '(\w+)'", "{0}", "{{% {0} %}} does not fit here: a {{% {1} %}} is open.", "Put {{% end{1} %}} before it."),
    (r"unknown tag '(end\w+|else|elif)'", "{0}", "{{% {0} %}} ends or divides nothing: nothing is open here.", "Take it out."),
    (r"unknown tag '(\w+)'", "{0}", "there is no tag {{% {0} %}}.", "Values are written {{{{ … }}}}; tags are if, for, set, block, include, extends, macro."),
    (r"expected token 'end of print statement', got '(.+)'", "{0}", "{{{{ … }}}} holds one value, and here a second begins.", "Give each a {{{{ … }}}} of its own."),
    (r"expected token 'end of statement block', got '='", "=", "one = means nothing here.", "Compare with ==."),
    (r"Expected an expression, got 'end of print", "{{", "nothing stands between {{ and }}.", "Write a value, like {{ customer.first_name }}."),
    (r"Expected an expression, got 'end of st", "{%", "this tag says nothing of what.", "Write for example {% if customer.city %}."),
    (r"unexpected char ['\"]([\"'])['\"]", "{0}", "this quote is never closed.", "Close it with the same kind of quote."),
    (r"Missing end of comment", "{#", "this {# is not closed.", "Put #} at the end of the comment."),
)  # fmt: skip


def finding(message: str, line: int) -> Finding:
    """A syntax error as a finding, in our words where the table has them; in Jinja's own where it has not."""
    for pattern, word, what, remedy in _ROWS:
        found = re.search(pattern, message)
        if found:
            word, what, remedy = (_filled(text, found.groups()) for text in (word, what, remedy))
            return Finding(line=line, word=word, what=what, remedy=remedy)
    return Finding(line=line, word="", what=f"{(message or 'not a valid template').rstrip('.')}.")


def _filled(text: str, words: tuple[str, ...]) -> str:
    return text.format(*words) if words else text
