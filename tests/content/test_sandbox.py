"""A template reads its values and nothing else, and cannot make the sender slow or large."""

from __future__ import annotations

import resource
import sys
import time

import pytest

from engine.content.sandbox import Sandbox
from engine.errors import ContentError
from tests.content.samples import html, text

ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ ''['__cla' ~ 'ss__'] }}",
    "{{ ''['__cla' + 'ss__'].mro() }}",
    "{{ ()|attr('__class__') }}",
    "{{ ''|attr('format') }}",
    "{{ ''|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ customer.__init__.__globals__ }}",
    "{{ customer['__class__'] }}",
    "{{ customer.get.__self__ }}",
    "{{ customer.get.__func__ }}",
    "{{ customer.update({'first_name': 'x'}) }}",
    "{{ customer.clear() }}",
    "{{ data['items'].append(1) }}",
    "{{ data.pop('amount') }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ lipsum() }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner.__init__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ range.__class__ }}",
    "{{ dict(a=1) }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ self }}",
    "{{ self.__init__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ self._TemplateReference__context.environment }}",
    "{{ environment }}",
    "{{ context }}",
    "{{ env('HOME') }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(customer) }}",
    "{{ '{x.__class__}'.format_map({'x': 1}) }}",
    "{{ ('{0.__class__}'|string).format(1) }}",
    "{% set f = '{0.__class__}'.format %}{{ f(1) }}",
    "{{ ['{0.__class__}']|map('format', 1)|first ~ '{0.__class__}'.format(1) }}",
    "{{ '%(__class__)s'|format(**customer.__class__) }}",
    "{{ [customer]|map(attribute='__class__')|list|first }}",
    "{{ [customer]|map(attribute='__class__.__mro__')|join }}",
    "{{ [customer]|selectattr('__class__')|list|length }}{{ [1]|map('attr', '__class__')|list }}",
    "{{ [customer]|groupby('__class__') }}",
    "{{ [customer]|sort(attribute='__class__')|first }}{{ customer.__class__ }}",
    "{% for x in [customer]|map(attribute='__class__') %}{{ x }}{% endfor %}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "{% macro m() %}{% endmacro %}{{ m._func }}",
    "{% macro m() %}{% endmacro %}{{ m }}",
    "{% for x in [1] %}{{ loop.__class__ }}{% endfor %}",
    "{% for x in [1] %}{{ loop._iterator }}{% endfor %}",
    "{% for x in [1] %}{{ loop }}{% endfor %}",
    "{% set ns = namespace() %}{{ ns.__class__ }}",
    "{% set ns = namespace() %}{{ ns._Namespace__attrs }}",
    "{% set ns = namespace() %}{{ ns }}",
    "{% import 't/social.txt' as m %}{{ m.__body_stream__ }}",
    "{% include '/etc/passwd' %}",
    "{% include '../../etc/passwd' %}",
    "{% include customer.first_name %}",
    "{% extends data.amount %}",
    "{% import customer.id as m %}",
    "{{ 1 .real }}",
    "{{ (1).bit_length() }}",
    "{{ none.__class__ }}",
    "{{ true.__class__ }}",
    "{{ nope.__class__ }}",
    "{{ customer.nope.__class__ }}",
    "{{ customer.first_name.encode() }}",
    "{{ customer.first_name.translate({}) }}",
    "{{ range }}",
    "{{ customer.get }}",
    "{{ '%s'|format(customer.get) }}",
    "{{ 'x' ~ customer.get }}",
    "{{ [customer.get]|join }}",
    "{{ customer.get|string }}",
    "{{ customer }}",
    "{{ data['items'] }}",
    "{% autoescape false %}{{ customer.first_name }}{% endautoescape %}",
    "{{ customer.first_name|safe }}",
    "{{ [1, 2]|random }}",
    "{{ customer|pprint }}",
    "{{ customer|xmlattr }}",
]


@pytest.mark.parametrize("template", ESCAPES)
def test_a_template_cannot_leave_its_values(template: str) -> None:
    """The published ways out of template engines, and things that would print an object's address: each is refused."""
    with pytest.raises(ContentError) as refused:
        text("fine " + template)
    assert "templates/" in refused.value.where


GREEDY = [
    "{{ 'a'|center(400000000) }}",
    "{{ '%400000000d'|format(1) }}",
    "{{ '%.400000000f'|format(1) }}",
    "{{ '%*d'|format(400000000, 1) }}",
    "{{ '%(x)400000000d'|format(x=1) }}",
    "{{ '%400000000d' % 1 }}",
    "{{ '{:>400000000}'.format(1) }}",
    "{{ 'a'.rjust(400000000) }}",
    "{{ 'a'.ljust(400000000) }}",
    "{{ '1'.zfill(400000000) }}",
    "{{ 'a'.center(400000000) }}",
    "{{ 'a\\t'.expandtabs(400000000) }}",
    "{{ 'a' * 400000000 }}",
    "{{ customer.first_name * 400000000 }}",
    "{{ 400000000 * customer.first_name }}",
    "{{ ([0] * 400000000)|length }}",
    "{{ 9 ** 999999999 }}",
    "{{ (9 ** 99) ** 99 }}",
    "{{ 1|round(400000000, 'floor') }}",
    "{{ 1|round(-400000000) }}",
    "{{ 'a'|indent(400000000, true) }}",
    "{{ '\n\n\n'|indent('x' ~ 400000000) }}",
    "{{ 'aaaa'|replace('', 'x' ~ 'y')|center(201) }}",
    "{{ [1]|batch(400000000, 0)|first|length }}",
    "{{ [1]|slice(400000000)|list|length }}",
    "{{ range(400000000)|list|length }}",
    "{{ range(100001)|sum }}",
    "{% for i in range(1001) %}{% endfor %}",
    "{% for i in range(999) %}{% for j in range(999) %}{% for k in range(999) %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for i in range(999) %}{% for j in range(999) %}{{ customer.first_name }}{% endfor %}{% endfor %}",
    "{% set s %}{% for i in range(999) %}{% for j in range(99) %}0123456789012345{% endfor %}{% endfor %}{% endset %}{{ s }}",
    "{% for a in [1] %}{% for b in [1] %}{% for c in [1] %}{% for d in [1] %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
    "{% set ns = namespace(s='x') %}{% for i in range(40) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s|length }}",
    "{% set ns = namespace(s='x') %}{% for i in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s|length }}",
    "{% set ns = namespace(s='xx') %}{% for i in range(40) %}{% set ns.s = ns.s|replace('x', 'xx') %}{% endfor %}{{ ns.s|length }}",
    "{% set ns = namespace(s='xx') %}{% for i in range(40) %}{% set ns.s = [ns.s, ns.s]|join %}{% endfor %}{{ ns.s|length }}",
    "{% set ns = namespace(s='xx') %}{% for i in range(40) %}{% set ns.s = '%s%s'|format(ns.s, ns.s) %}{% endfor %}{{ ns.s|length }}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(40) %}{% set ns.l = ns.l + ns.l %}{% endfor %}{{ ns.l|length }}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(40) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l|tojson|length }}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(40) %}{% set ns.l = {'a': ns.l, 'b': ns.l} %}{% endfor %}{{ ns.l == ns.l }}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(999) %}{% set ns.l = (ns.l,) %}{% endfor %}"
    "{% for i in range(999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l|tojson }}",
    "{{ [[1], [1]]|sum(start=[]) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% macro m(s, n) %}{% if n %}{{ m(s ~ s, n - 1) }}{% endif %}{% endmacro %}{{ m('x', 60) }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% include 't/social.txt' %}{% include 't/social.txt' %}",
    "{% set n = (n|default(60)) - 1 %}{% if n > 0 %}{% include 't/social.txt' %}{% include 't/social.txt' %}{% endif %}",
    "{% block b %}{{ self.b() }}{{ self.b() }}{% endblock %}",
    "{% for x in [[1]] recursive %}{{ loop(x) }}{% endfor %}",
    "{% for i in range(9) %}{% block b %}{% endblock %}{% endfor %}",
    "{% set x = range(900)|list %}{% for i in range(900) %}{% for j in range(900) %}{% if 7777 in x %}{% endif %}{% endfor %}{% endfor %}",
    "{% filter center(400000000) %}x{% endfilter %}",
    "{{ data.amount|number(400000000) }}",
    "{{ '1e400000000'|number }}",
    "{{ '9' * 20 }}",
    "{{ today|date('d' ~ 'd'|center(150)) }}",
]


@pytest.mark.parametrize("template", GREEDY)
def test_a_template_cannot_make_the_sender_slow_or_large(template: str) -> None:
    """Each is refused within seconds and within 50 MB, where plain Jinja would fill the memory or never end."""
    began, before = time.monotonic(), _most_memory()
    with pytest.raises(ContentError):
        text("x" + template)
    assert _most_memory() - before < 50_000_000
    assert time.monotonic() - began < 10


def _most_memory() -> int:
    """The most memory this process ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


USUAL = [
    ("{{ customer.first_name | upper }} {{ customer.first_name[:2] }} {{ customer['first_name'] }}", "ANA An Ana"),
    ("{% for item in data.items %}{{ loop.index }}. {{ item.name }}{{ ', ' if not loop.last }}{% endfor %}", "1. Tea, 2. Cup"),
    ("{{ data.items | map(attribute='name') | join(' and ') }}", "Tea and Cup"),
    ("{{ data.items | sum(attribute='price') }} {{ data.items | length }}", "13 2"),
    ("{{ data.items | selectattr('price', 'gt', 5) | map(attribute='name') | first }}", "Cup"),
    ("{{ (data.items | sort(attribute='name') | first).name }}", "Cup"),
    ("{% for price, these in data.items | groupby('price') %}{{ price }}:{{ these | length }} {% endfor %}", "4:1 9:1"),
    ("{% for name, value in {'a': 1}.items() %}{{ name }}{{ value }}{% endfor %}", "a1"),
    ("{% for name in data.keys() | list %}{{ name }} {% endfor %}", "amount items at"),
    ("{{ customer.get('first_name') }}{{ {'FI': 'Suomi'}['FI'] }}", "AnaSuomi"),
    ("{% set total = namespace(x=0) %}{% for i in data.items %}{% set total.x = total.x + i.price %}{% endfor %}{{ total.x }}", "13"),
    ("{% macro row(item, sign='€') %}{{ item.name }} {{ item.price }} {{ sign }};{% endmacro %}{{ row(data.items[0]) }}", "Tea 4 €;"),
    ("{{ '%.2f' | format(data.amount) }} {{ data.amount | round(1) }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 2 * 3 }} {{ 2 ** 3 }}", "1234.50 1234.5 3 3 6 8"),
    ("{{ 'a' ~ 1 ~ 'b' }} {{ 'a' + 'b' }} {{ [1] + [2] == [1, 2] }}", "a1b ab True"),
    ("{{ 'Ana' if 'a' in customer.first_name and 'x' not in customer.first_name else '-' }}", "Ana"),
    ("{% with a = 1 %}{{ a }}{% endwith %}{% filter upper %}x{% endfilter %}{% set y %}z{% endset %}{{ y }}", "1Xz"),
    ("{{ range(3) | join }} {{ [1, 2, 3] | batch(2) | map('join') | join('|') }} {{ 'b' | center(3) }}.", "012 12|3  b ."),
    ("{{ 'one two three' | truncate(7, false, '…') }} {{ 'a-b'.split('-') | last }} {{ '<b>x</b>' | striptags }}", "one… b x"),
    ("{{ 'a b' | urlencode }} {{ ' x '.strip() }} {{ 'x' | replace('x', 'y') }} {{ 'a\nb' | indent(2) }}", "a%20b x y a\n  b"),
    ("{% for x in [3, 1] | sort %}{{ x }}{% if not loop.last %}-{% endif %}{% else %}none{% endfor %}", "1-3"),
    ("{{ {'a': [1, 'x']} | tojson }}", '{"a": [1, "x"]}'),
]  # fmt: skip


@pytest.mark.parametrize(("template", "expected"), USUAL)
def test_what_marketers_write_every_day_works(template: str, expected: str) -> None:
    """The limits are no hindrance: loops, macros, sums, joins, slices, and a value called `items`."""
    assert text(template) == expected


def test_layouts_macros_and_includes_work() -> None:
    """Blocks with super(), imported macros and included files, from the shared folders."""
    page = html(
        '{% extends "_shop/base.html" %}{% import "_shop/m.html" as m %}'
        '{% block main %}{{ super() }}{{ m.button("Go & see") }}{% include "_shop/foot.html" %}{% endblock %}',
        ("_shop/base.html", "<body>{% block main %}base {% endblock %}</body>"),
        ("_shop/m.html", "{% macro button(label) %}<a>{{ label }}</a>{% endmacro %}"),
        ("_shop/foot.html", "<p>{{ postal_address }}</p>"),
    )
    assert page == "<body>base <a>Go &amp; see</a><p>Shop, Street 1, 1000 Ljubljana</p></body>"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Hello{% if true %} Ana{% endif %}\n\nBye", "Hello Ana\n\nBye"),
        ("Tea {# a note #}\nCup", "Tea \nCup"),
        ("a\n{% if true %}\nb\n{% endif %}\n  {% set x = 1 %}\nc", "a\nb\nc"),
        ("a\n{# note #}\nb", "a\nb"),
        ("{% for i in [1, 2] %}\n- {{ i }}{% if i == 1 %} first{% endif %}\n{% endfor %}\nc", "- 1 first\n- 2\nc"),
        ("{% for i in [1, 2] %}{{ i }}{% endfor %}\nb", "12\nb"),
        ("a {% if true -%}  \n b {%- endif %}\nc", "a b\nc"),
        ("{% raw %}{{ x }} %}\n{% endraw %}a", "{{ x }} %}\na"),
        ("a {% if\n true %}\nb{% endif %}", "a b"),
    ],
)
def test_a_line_of_tags_alone_leaves_no_line_and_others_keep_theirs(template: str, expected: str) -> None:
    """A greeting that ends in `{% endif %}` is not glued to the next line."""
    assert text(template) == expected


def test_values_are_escaped_in_html_and_only_there() -> None:
    """A customer who is called by a script tag gets it shown, in HTML as text and in text as it is."""
    name = {"first_name": "<script>'\"&"}
    assert html('<p title="{{ customer.first_name }}">', customer=name) == '<p title="&lt;script&gt;&#39;&#34;&amp;">'
    assert text("{{ customer.first_name }}", customer=name) == "<script>'\"&"


@pytest.mark.parametrize(
    "template",
    [
        "{{ customer.first_name ~ '' }}",
        "{{ [customer.first_name] | join(', ') }}",
        "{{ '%s' | format(customer.first_name) }}",
        "{{ customer.first_name | replace('x', 'y') }}",
        "{{ customer.first_name | truncate(9) | trim }}",
        "{% set x %}{{ customer.first_name }}{% endset %}{{ x }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(customer.first_name) }}",
        "{% set b %}<b>{% endset %}{{ b + customer.first_name }}",
        "{{ customer.first_name | default('x') | title | string | list | join }}",
    ],
)
def test_no_filter_lets_a_value_escape_escaping(template: str) -> None:
    """However a value travels, its `<i>` never arrives as a tag."""
    page = html(template, customer={"first_name": "<i>"})
    assert "<i>" not in page.lower()
    assert "&lt;i&gt;" in page.lower()


class Leak:
    """An object that somebody hands to a template by mistake."""

    secret = "canary"

    def reveal(self) -> str:
        return self.secret


@pytest.mark.parametrize(
    "template",
    ["{{ customer.leak.secret }}", "{{ customer.leak.reveal() }}", "{{ customer.call() }}", "{{ customer.leak }}"],
)
def test_an_object_among_the_values_leads_nowhere(template: str) -> None:
    """Even where something other than plain values came in, no attribute of it is read and nothing of it is called."""
    with pytest.raises(ContentError) as refused:
        text(template, customer={"leak": Leak(), "call": Leak().reveal})
    assert "canary" not in str(refused.value)


def test_nothing_but_listed_names_is_reachable() -> None:
    """A filter, test or global that a new release of Jinja brings stays out until it was looked at."""
    sandbox = Sandbox({})
    assert set(sandbox.globals) == {"range", "namespace"}
    assert set(sandbox.filters) - sandbox.allowed == {"loop of", "text of", "all in", "search in"}
    assert {"attr", "safe", "random", "pprint", "xmlattr", "urlize"}.isdisjoint(sandbox.allowed)
    assert sandbox.allowed == set(ALLOWED.split())


ALLOWED = (
    "abs batch capitalize center count d date default dictsort e escape first float forceescape format groupby indent "
    "int items join last length list lower map max min money number reject rejectattr replace reverse round select "
    "selectattr slice sort string striptags sum time title tojson trim truncate unique upper urlencode wordcount "
    "wordwrap"
)
