"""Reads tables, CSV and Parquet, column by column.
Writes nothing but columns.json: how columns became the numbers of a sample.
Belongs here: what a column is, and what is made of it.
"""
