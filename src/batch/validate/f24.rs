//! F24 metadata: the JSON that SEND turns into a form, checked against its own schema (`schemas/f24-metadata.schema.json`).

use std::sync::OnceLock;

use jsonschema::{Draft, Validator};
use serde_json::Value;

/// The largest metadata read, bytes.
pub const MAX_BYTES: u64 = 1 << 20;

/// Why metadata would be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum F24Error {
    NotJson,
    /// JSON pointer of what does not fit.
    Schema {
        at: String,
    },
    /// Debit rows that bear the cost: exactly one is wanted when the payment bears it.
    ApplyCost {
        rows: usize,
    },
}

fn validator() -> Option<&'static Validator> {
    static VALIDATOR: OnceLock<Option<Validator>> = OnceLock::new();
    let compiled = VALIDATOR.get_or_init(|| {
        let schema = serde_json::from_str(include_str!("../../../schemas/f24-metadata.schema.json")).ok()?;
        jsonschema::options().with_draft(Draft::Draft4).build(&schema).ok()
    });
    compiled.as_ref()
}

/// Checks the metadata of a payment that bears the cost of notification, or not.
pub fn check(bytes: &[u8], apply_cost: bool) -> Result<(), F24Error> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| F24Error::NotJson)?;
    if let Some(validator) = validator()
        && let Some(error) = validator.iter_errors(&value).next()
    {
        return Err(F24Error::Schema { at: error.instance_path().to_string() });
    }
    let rows = bearing_rows(&value);
    if apply_cost && rows != 1 { Err(F24Error::ApplyCost { rows }) } else { Ok(()) }
}

/// How many rows say `applyCost: true`. The depth is that of a JSON which the parser took (at most 128).
fn bearing_rows(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(bearing_rows).sum(),
        Value::Object(fields) => {
            let own = fields.get("applyCost") == Some(&Value::Bool(true));
            usize::from(own) + fields.values().map(bearing_rows).sum::<usize>()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"f24Simplified": {"taxPayer": {"taxCode": "RSSMRA80A01H501U"}, "payments": {"records": [
        {"applyCost": true, "section": "EL", "taxType": "3944", "municipality": "L219", "year": "2026", "debit": 10000}]}}}"#;

    #[test]
    fn checks_metadata() {
        assert!(validator().is_some());
        let free = GOOD.replace("true", "false");
        let two = GOOD.replace("[\n", "[{\"applyCost\": true, \"section\": \"EL\", \"taxType\": \"3944\", \"municipality\": \"L219\"},");
        let table = [
            (GOOD, true, Ok(())),
            (GOOD, false, Ok(())),
            (free.as_str(), false, Ok(())),
            (free.as_str(), true, Err("cost")),
            (two.as_str(), true, Err("cost")),
            ("\u{feff}{}", true, Err("json")),
            (r#"{"f24Standard": {}}"#, true, Err("schema")),
            ("{}", true, Err("schema")),
            (r#"{"other": 1}"#, true, Err("schema")),
            ("[", true, Err("json")),
            ("", true, Err("json")),
        ];
        for (text, apply_cost, want) in table {
            let got = check(text.as_bytes(), apply_cost).map_err(|error| match error {
                F24Error::NotJson => "json",
                F24Error::Schema { .. } => "schema",
                F24Error::ApplyCost { .. } => "cost",
            });
            assert_eq!(got, want, "{text}");
        }
    }
}
