"""The language: YAML with positions (`workspace`) → syntax tree (`reader`, `syntax`) → one SQL expression (`compile`).

What may be said stands in tables, and everything else is made from them, the JSON Schema of the editors included:
`reader.CONDITIONS` (all, any, not, did…), `measures.MEASURES` (times, sum, last), `operators.OPERATORS` (is, at_least, before…).
A new word of the language is a new row.
"""
