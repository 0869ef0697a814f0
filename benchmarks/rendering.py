"""How fast a compiled email of about 7 KB renders, beside bare Jinja on the same templates in the same run.

Run `python benchmarks/rendering.py`; it prints JSON lines: the machine first, then one line a measurement.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import timeit
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import jinja2

from engine.content.render import Renderer
from engine.content.versions import TemplateVersion
from engine.model import Channel

ROUNDS, REPEATS = 300, 9

_STYLE = "font-family:Helvetica,Arial,sans-serif;font-size:16px;line-height:24px;color:#1f2933;-webkit-text-size-adjust:100%;mso-line-height-rule:exactly"
_ROW = (
    f'<tr><td style="{_STYLE};padding:12px 24px"><h3 style="margin:0">{{{{ line.name }}}}</h3>'
    f'<p style="margin:0;{_STYLE}">{{{{ line.text }}}}</p><p style="{_STYLE}">{{{{ line.price }}}} EUR</p>'
    '<a href="https://shop.example/p/{{ line.sku }}" style="display:inline-block;padding:10px 20px">See it</a></td></tr>'
)
SOURCES = {
    "_shop/base.html": f'<!doctype html><html><body style="margin:0;{_STYLE}"><table width="600">'
    '{% block main %}{% endblock %}</table><p style="font-size:12px">{{ postal_address }} · '
    '<a href="{{ links.unsubscribe }}">Unsubscribe</a></p></body></html>',
    "offer/email.html": '{% extends "_shop/base.html" %}{% block main %}'
    "<tr><td><h1>Good morning, {{ customer.first_name }}</h1><p>{% if customer.city %}In {{ customer.city }}"
    " and around,{% endif %} these are for you.</p></td></tr>"
    "{% for line in data.lines %}" + _ROW + "{% endfor %}{% endblock %}",
    "offer/email.subject.txt": "{{ customer.first_name }}, twelve things you may like",
    "offer/email.txt": "Good morning, {{ customer.first_name }}.\n{% for line in data.lines %}\n"
    "{{ line.name }}, {{ line.price }} EUR\n{% endfor %}\n{{ postal_address }}\nUnsubscribe: {{ links.unsubscribe }}\n",
}
VALUES: dict[str, Any] = {
    "customer": {"id": "C-1", "locale": None, "first_name": "Ana", "city": "Ljubljana"},
    "data": {
        "lines": [
            {
                "sku": f"S{n}",
                "name": f"Tea number {n}",
                "text": "Dried slowly, & packed by hand. " * 2,
                "price": 4.5 + n,
            }
            for n in range(9)
        ]
    },
    "links": {"unsubscribe": "https://shop.example/u/abc"},
    "postal_address": "Shop, Street 1, 1000 Ljubljana",
    "currency": "EUR",
    "locale": "en",
    "time_zone": "Europe/Ljubljana",
}


def main() -> None:
    _say(machine=platform.machine(), system=platform.system(), cpus=os.cpu_count(), python=platform.python_version())
    page = {**SOURCES, "offer/email.subject.txt": "Things you may like", "offer/email.txt": "See the page."}
    for what, sources in {"page": page, "whole email": SOURCES}.items():
        _compare(what, sources)


def _compare(what: str, sources: Mapping[str, str]) -> None:
    """One measurement of bare Jinja and of Regulars, on the same files."""
    bare = _bare(sources)
    renderer = Renderer(TemplateVersion(name="offer", hash="-", sources=sources))
    html = len(bare["offer/email.html"].render(VALUES))
    jinja = _microseconds(lambda: [template.render(VALUES) for template in bare.values()])
    ours = _microseconds(lambda: renderer.render(Channel.EMAIL, VALUES))
    _say(
        what=what,
        html_characters=html,
        bare_jinja_microseconds=round(jinja, 1),
        regulars_microseconds=round(ours, 1),
        ratio=round(ours / jinja, 2),
    )


def _bare(sources: Mapping[str, str]) -> dict[str, jinja2.Template]:
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(sources), autoescape=lambda name: name is not None and name.endswith(".html")
    )
    return {name: environment.get_template(name) for name in sources if not name.startswith("_")}


def _microseconds(call: Callable[[], object]) -> float:
    """The best of some repeats, for one call: what the machine can do when nothing else runs on it."""
    return min(timeit.repeat(call, number=ROUNDS, repeat=REPEATS)) / ROUNDS * 1e6


def _say(**facts: object) -> None:
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
