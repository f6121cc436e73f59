"""No circle of files: every file can be read, and loaded, after all that it imports."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import grimp


def test_no_files_import_each_other_not_even_for_types() -> None:
    graph = grimp.build_graph("kling_async", exclude_type_checking_imports=False)
    files = sorted(graph.modules - {"kling_async"})  # the public names are gathered there, and nothing is defined
    imports = {file: graph.find_modules_directly_imported_by(file) - {"kling_async"} for file in files}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None
