"""The sweep file: text, types, mistakes."""
