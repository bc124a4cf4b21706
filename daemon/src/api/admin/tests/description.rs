//! The description says what the routes are, and holds together.

use super::*;

async fn document() -> Value {
    let nobody = Peer { from: "test".to_owned(), certificate: None };
    let (status, document) = surface().ask(&nobody, Method::GET, "/admin/v1/openapi.json", None).await;
    assert_eq!(status, StatusCode::OK);
    document
}

/// Each path, method and operation.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().iter().map(move |(m, o)| (&**path, &**m, o)))
        .collect()
}

#[tokio::test]
async fn every_route_of_the_golden_file_is_described_and_no_other() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/routes.txt");
    let golden = std::fs::read_to_string(golden).unwrap();
    let rows = golden.lines().filter_map(|line| line.strip_prefix("admin ")).map(|line| {
        let mut words = line.split_whitespace();
        (words.next().unwrap().to_owned(), words.next().unwrap().to_ascii_lowercase())
    });
    let document = document().await;
    let described = operations(&document).into_iter().map(|(path, method, _)| (path.to_owned(), method.to_owned()));
    assert_eq!(described.collect::<BTreeSet<_>>(), rows.collect::<BTreeSet<_>>());
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own_and_says_how_it_fails() {
    let document = document().await;
    let mut names = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let place = format!("{method} {path}");
        assert!(names.insert(operation["operationId"].as_str().unwrap()), "{place}");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{place}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.contains_key("503") && responses.contains_key("500"), "{place}");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{place}");
        if operation["security"] != json!([]) {
            assert!(responses.contains_key("401") && responses.contains_key("403"), "{place}");
        }
        for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{place} {status}");
        }
        assert!(responses["503"]["headers"]["Retry-After"].is_object(), "{place}");
        let named = operation["parameters"].as_array().unwrap().iter().filter(|one| one["in"] == "path");
        assert_eq!(named.count(), path.matches('{').count(), "{place}");
    }
}

#[tokio::test]
async fn every_reference_leads_to_a_schema_and_no_two_types_share_a_name() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            _ => {}
        }
    }
    let document = document().await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let names: BTreeSet<String> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(found, names.iter().map(String::as_str).collect());
    // A second type of one name gets a number.
    let is_second = |name: &&String| {
        let first = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
        first != name.as_str() && schemas.contains_key(first)
    };
    let numbered: Vec<_> = schemas.keys().filter(is_second).collect();
    assert!(numbered.is_empty(), "{numbered:?}");
}
