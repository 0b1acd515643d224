"""Tells in what a JSON document breaks a JSON Schema: valid.py SCHEMA DOCUMENT. Nothing is said when it keeps it."""

import json
import sys

from jsonschema import validators

schema, document = (json.load(open(path)) for path in sys.argv[1:])
faults = list(validators.validator_for(schema)(schema).iter_errors(document))
for fault in faults:
    print(fault.json_path, fault.message[:500])
sys.exit(bool(faults))
