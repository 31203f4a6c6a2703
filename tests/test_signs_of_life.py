"""Who made this, how to cite it, what is new, where its tests run: the pages at the root agree with pyproject.toml."""

import datetime
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGES = ("CHANGELOG.md", "README.md", "ROADMAP.md", "SECURITY.md", "docs/tested_with.md")

# Keys of the Citation File Format, version 1.2.0; what must be there is in capitals.
CFF = """CFF-VERSION MESSAGE TITLE AUTHORS abstract commit contact date-released doi identifiers keywords license
license-url preferred-citation references repository repository-artifact repository-code type url version"""
PERSON = """family-names given-names name-particle name-suffix address affiliation alias city country email fax orcid
post-code region tel website"""
ENTITY = "NAME address alias city country date-end date-start email fax location orcid post-code region tel website"
REFERENCE = "AUTHORS TITLE TYPE collection-title notes year"


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def citation():
    return yaml.safe_load(read("CITATION.cff"))


def require_keys(entry, format):
    keys = format.split()
    assert entry.keys() <= {key.lower() for key in keys}, f"unknown to the format: {entry}"
    assert entry.keys() >= {key.lower() for key in keys if key.isupper()}, f"something is missing: {entry}"


def require_people(people):
    assert people
    for person in people:
        require_keys(person, ENTITY if "name" in person else PERSON)


def full_name(person):
    parts = ("given-names", "name-particle", "family-names", "name-suffix")
    return person.get("name") or " ".join(person[part] for part in parts if part in person)


def test_the_citation_has_the_fields_of_its_format():
    facts = citation()
    require_keys(facts, CFF)
    assert facts["cff-version"] == "1.2.0" and facts["type"] in ("software", "dataset")
    require_people(facts["authors"])
    require_people(facts["contact"])
    for reference in facts["references"]:
        require_keys(reference, REFERENCE)
        require_people(reference["authors"])
    assert all(
        isinstance(value, str) for key, value in facts.items() if key in ("title", "message", "abstract", "license")
    )


@pytest.mark.parametrize(
    "entry", [{"name": "A", "given-names": "B"}, {"email": "a@example.org", "name": "A", "age": 3}]
)
def test_a_field_that_the_format_does_not_know_is_noticed(entry):
    with pytest.raises(AssertionError, match="unknown to the format"):
        require_people([entry])


def test_authors_contact_and_licence_are_the_same_on_all_pages():
    """Filled in or still to be filled: nobody is named on one page and missing on another."""
    facts = citation()
    assert [full_name(person) for person in facts["authors"]] == [author["name"] for author in PROJECT["authors"]]
    ours = [(person["name"], person["email"]) for person in PROJECT["maintainers"]]
    assert [(full_name(person), person["email"]) for person in facts["contact"]] == ours
    assert all(part in read("SECURITY.md") for person in ours for part in person)
    assert facts["license"] == PROJECT["license"] and read("LICENSE").startswith(f"{PROJECT['license']} License")


def test_what_is_to_be_filled_says_so():
    for name in ("pyproject.toml", "CITATION.cff", "SECURITY.md"):
        if "to-be-filled@example.org" in read(name):
            assert "To be filled: whom to write to" in read(name)


def headings():
    return re.findall(r"^## \[(.+?)\](?: - (\S+))?$", read("CHANGELOG.md"), re.MULTILINE)


def test_the_newest_version_of_the_changelog_is_the_packages_or_unreleased():
    (newest, date), *earlier = headings()
    released = [version for version, _ in headings() if version != "Unreleased"]
    assert newest == "Unreleased" or (newest == PROJECT["version"] and date)
    assert "Unreleased" not in dict(earlier)
    assert not released or released[0] == PROJECT["version"]
    assert citation().get("version", PROJECT["version"]) == PROJECT["version"]


def test_the_changelog_goes_back_in_time():
    text = read("CHANGELOG.md")
    days = [datetime.date.fromisoformat(day) for day in re.findall(r"^### (\S+)$", text, re.MULTILINE)]
    assert len(days) > 3 and days == sorted(set(days), reverse=True)
    versions = [Version(version) for version, _ in headings() if version != "Unreleased"]
    assert versions == sorted(set(versions), reverse=True)
    assert set(re.findall(r"^([A-Z]\w+)$", text, re.MULTILINE)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
    }


@pytest.mark.parametrize("name", PAGES)
def test_links_of_the_pages_lead_somewhere(name):
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", read(name)):
        assert ((ROOT / name).parent / target).exists(), target


@pytest.mark.parametrize("name", [name for name in PAGES if name != "README.md"])
def test_the_readme_leads_to_the_page(name):
    assert f"]({name})" in read("README.md")


def workflow():
    return yaml.safe_load(read(".github/workflows/test.yml"))["jobs"]["test"]


def test_the_workflow_runs_the_commands_of_the_readme():
    shown = re.search(r"## Two commands\n.*?```\n(.*?)```", read("README.md"), re.DOTALL)
    commands = [line.partition("#")[0].strip() for line in shown[1].splitlines()]
    assert [step["run"] for step in workflow()["steps"] if step.get("run", "").startswith("make")] == commands


def test_the_workflow_tries_each_python_that_the_matrix_does_and_the_oldest_promised():
    tried = workflow()["strategy"]["matrix"]["python"]
    matrix = set(re.findall(r'Versions\("([\d.]+)"', read("tests/matrix.py")))
    assert set(tried) == matrix and PROJECT["requires-python"] == f">={min(tried, key=Version)}"
