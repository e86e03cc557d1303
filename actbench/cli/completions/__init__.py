"""What may follow on a command line: words for the shells' completion.

A key that is pressed has no time for pydantic: keys and names come from the JSON Schema that is shipped, factors and
run ids from the names of folders and from the config beside the runs.
"""
