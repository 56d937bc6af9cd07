//! The description of the interface, as somebody reads it who writes a client: every call is named once, says how it fails, and
//! shows an example of everything it takes and gives.

use std::collections::BTreeSet;

use serde_json::{Value, json};

fn description() -> Value {
    serde_json::from_str(&berth_api::openapi_json().unwrap()).unwrap()
}

/// Every operation with its method and path.
fn operations(description: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            found.push((format!("{method} {path}"), operation));
        }
    }
    found
}

/// The schema itself where this only names it.
fn resolved<'a>(description: &'a Value, schema: &'a Value) -> &'a Value {
    let Some(name) = schema["$ref"].as_str() else { return schema };
    let name = name.strip_prefix("#/components/schemas/").unwrap();
    &description["components"]["schemas"][name]
}

/// Whether the example has every field that the schema demands, and none that it does not know; both all the way down.
fn fits(description: &Value, schema: &Value, example: &Value) -> Result<(), String> {
    let schema = resolved(description, schema);
    if let Some(items) = schema.get("items").filter(|_| example.is_array()) {
        return example.as_array().unwrap().iter().try_for_each(|item| fits(description, items, item));
    }
    let (Some(properties), Some(fields)) = (schema["properties"].as_object(), example.as_object()) else {
        return Ok(());
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(name.as_str().unwrap()) {
            return Err(format!("{name} is missing"));
        }
    }
    for (name, value) in fields {
        let property = properties.get(name).ok_or_else(|| format!("{name} is unknown"))?;
        fits(description, property, value).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let description = description();
    let mut names = BTreeSet::new();
    for (call, operation) in operations(&description) {
        assert!(names.insert(operation["operationId"].as_str().unwrap()), "{call}: {}", operation["operationId"]);
    }
}

#[test]
fn what_goes_in_and_out_is_shown() {
    let description = description();
    let mut shown = 0;
    for (call, operation) in operations(&description) {
        let answers = operation["responses"].as_object().unwrap().iter();
        let mut contents: Vec<_> = answers.map(|(status, answer)| (status.as_str(), &answer["content"])).collect();
        contents.push(("request", &operation["requestBody"]["content"]));
        for (what, content) in contents {
            for media in ["application/json", "application/problem+json"] {
                let Some(content) = content.get(media) else { continue };
                let list = content["schema"]["type"] == "array";
                let schema =
                    resolved(&description, if list { &content["schema"]["items"] } else { &content["schema"] });
                let example = content.get("example").or(schema.get("example"));
                let example = example.unwrap_or_else(|| panic!("{call}, {what}: no example"));
                fits(&description, schema, example).unwrap_or_else(|error| panic!("{call}, {what}: {error}"));
                shown += 1;
            }
        }
    }
    assert!(shown > 100, "{shown}");
}

#[test]
fn every_failure_is_told() {
    let description = description();
    let codes = description["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
    assert!(codes.contains(&json!("quota_exceeded")) && codes.contains(&json!("internal")));
    for (call, operation) in operations(&description) {
        let responses = operation["responses"].as_object().unwrap();
        let has = |status: &str| responses.contains_key(status);
        assert!(has("500"), "{call}");
        assert_eq!(
            has("401"),
            operation.get("security").is_none() || call.contains("/auth/login") || call.contains("callback"),
            "{call}"
        );
        assert!(!call.contains("{id}") || has("404"), "{call}");
        assert!(
            operation.get("requestBody").is_none() || (has("400") && has("413") && has("415") && has("422")),
            "{call}"
        );
        for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
            let content = &response["content"]["application/problem+json"];
            assert_eq!(content["example"]["status"].to_string(), *status, "{call}");
            assert!(codes.contains(&content["example"]["code"]), "{call}");
        }
    }
}
