"""The page's own code is put together without a build step."""

import re

import pytest

from loragrid.analysis.page import modules


@pytest.fixture
def sources(tmp_path, monkeypatch):
    monkeypatch.setattr(modules, "SOURCE", tmp_path)

    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.js").write_text(text)

    return write


def test_a_module_comes_after_those_that_it_imports_and_gives_what_it_exports(sources):
    sources(
        main='import { twice } from "./numbers.js";\nwindow.made = twice(ONE);\n',
        numbers='import { ONE } from "./one.js";\nexport function twice(x) {\n  return 2 * x;\n}\nexport const TWO = twice(ONE);\n',
        one="export const ONE = 1;\nconst own = 2;\n",
    )
    assert modules.module_order() == ["one", "numbers", "main"]
    script = modules.own_code()
    assert "const numbers = (() => {\nconst { ONE } = one;\nfunction twice(x)" in script
    assert "return { twice, TWO };\n})();" in script
    assert not re.search(r"^(import|export)", script, re.MULTILINE)


def test_modules_that_import_each_other_in_a_circle_are_told(sources):
    sources(main='import { a } from "./a.js";\n', a='import { b } from "./b.js";\n', b='import { a } from "./a.js";\n')
    with pytest.raises(ValueError, match="main -> a -> b -> a"):
        modules.module_order()


def test_every_source_is_in_the_page():
    assert sorted(modules.module_order()) == sorted(path.stem for path in modules.SOURCE.glob("*.js"))
    assert sorted(modules.STYLES) == sorted(path.name for path in modules.SOURCE.glob("*.css"))


def test_every_import_names_what_is_exported():
    for path in modules.SOURCE.glob("*.js"):
        for names, imported in re.findall(r'^import \{([^}]*)\} from "\./(\w+)\.js";$', path.read_text(), re.MULTILINE):
            exported = re.findall(
                r"^export (?:async )?(?:function|const) (\w+)", (modules.SOURCE / f"{imported}.js").read_text(), re.MULTILINE
            )
            assert {name.strip() for name in names.split(",")} <= set(exported), (path.name, imported)
        assert len(re.findall(r"^import", path.read_text(), re.MULTILINE)) == len(
            re.findall(r'^import \{[^}]*\} from "\./\w+\.js";$', path.read_text(), re.MULTILINE)
        )


def test_scripts_cannot_end_their_element_and_export_nothing():
    css, scripts = modules.page_source()
    assert len(scripts) == 3
    for script in scripts:
        assert "</script" not in script.lower()
        assert "<!--" not in script
    assert "window.DataTable=" in scripts[1]
    assert not re.search(r"\bexport\s*\{", scripts[1])
    assert "</style" not in css.lower()
    assert sum(map(len, scripts)) + len(css) < 2_500_000


def test_another_bundle_of_datatables_is_told(monkeypatch, tmp_path):
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "dt_bundle.js").write_text("export default 1;")
    monkeypatch.setattr(modules, "find_spec", lambda name: type("Spec", (), {"origin": str(tmp_path / "__init__.py")}))
    with pytest.raises(ValueError, match="does not end with the exports"):
        modules.data_tables.__wrapped__()
