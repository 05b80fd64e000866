//! The `OpenAPI` document as a page: plain HTML with one style sheet in it, no script and no other file, so
//! that it works offline and nothing on it can be made to run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("page.css");
/// The methods of a path, in the order in which they are shown.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
/// How deep types are written out before they are only named.
const DEEPEST: usize = 6;

/// What the page may load: its own style sheet.
pub(super) fn security_policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The page of `document`.
pub(super) fn render(document: &Value) -> String {
    let title = text(&document["info"]["title"]);
    let version = text(&document["info"]["version"]);
    let mut page = Page::default();
    page.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    page.element("title", &format!("{title} API {version}"));
    page.raw("<style>").raw(STYLE).raw("</style></head><body>");
    contents(&mut page, document);
    page.raw("<main>");
    page.element("h1", &format!("{title} API"));
    page.raw("<p class=\"version\">version ")
        .text(version)
        .raw(" · <a href=\"/openapi.json\">openapi.json</a></p>");
    page.prose(text(&document["info"]["description"]));
    for tag in items(&document["tags"]) {
        let name = text(&tag["name"]);
        page.raw("<section><h2 id=\"")
            .text(&anchor("tag", name))
            .raw("\">")
            .text(name)
            .raw("</h2>");
        page.prose(text(&tag["description"]));
        for (path, method, operation) in operations(document, name) {
            render_operation(&mut page, path, method, operation);
        }
        page.raw("</section>");
    }
    page.raw("<section><h2 id=\"schemas\">Schemas</h2>");
    for (name, schema) in fields(&document["components"]["schemas"]) {
        render_schema(&mut page, name, schema);
    }
    page.raw("</section></main></body></html>");
    page.0
}

/// The list at the side.
fn contents(page: &mut Page, document: &Value) {
    page.raw("<nav aria-label=\"Contents\">");
    for tag in items(&document["tags"]) {
        let name = text(&tag["name"]);
        page.raw("<p>")
            .link(&anchor("tag", name), name)
            .raw("</p><ul>");
        for (path, method, operation) in operations(document, name) {
            page.raw("<li><a href=\"#")
                .text(text(&operation["operationId"]))
                .raw("\"><b>");
            page.text(&method.to_uppercase())
                .raw("</b> ")
                .text(path)
                .raw("</a></li>");
        }
        page.raw("</ul>");
    }
    page.raw("<p>").link("schemas", "Schemas").raw("</p></nav>");
}

/// The operations with the tag `tag`: path, method and description.
fn operations<'a>(
    document: &'a Value,
    tag: &'a str,
) -> impl Iterator<Item = (&'a str, &'static str, &'a Value)> {
    fields(&document["paths"]).flat_map(move |(path, item)| {
        METHODS.into_iter().filter_map(move |method| {
            let operation = item.get(method)?;
            let tagged = items(&operation["tags"]).any(|name| name == tag);
            tagged.then_some((path, method, operation))
        })
    })
}

fn render_operation(page: &mut Page, path: &str, method: &str, operation: &Value) {
    page.raw("<article id=\"")
        .text(text(&operation["operationId"]))
        .raw("\"><h3><b class=\"");
    page.text(method)
        .raw("\">")
        .text(&method.to_uppercase())
        .raw("</b> <code>")
        .text(path)
        .raw("</code></h3>");
    let summary = text(&operation["summary"]);
    let description = text(&operation["description"]);
    page.prose(summary);
    if description != summary {
        page.prose(description);
    }
    let mut parameters = items(&operation["parameters"]).peekable();
    if parameters.peek().is_some() {
        page.raw("<h4>Parameters</h4><table>");
        for parameter in parameters {
            let place = format!(
                "{}{}",
                text(&parameter["in"]),
                required(&parameter["required"])
            );
            row(
                page,
                text(&parameter["name"]),
                &place,
                &parameter["schema"],
                text(&parameter["description"]),
            );
        }
        page.raw("</table>");
    }
    let body = &operation["requestBody"];
    if body.is_object() {
        page.raw("<h4>Body</h4>");
        render_content(page, &body["content"]);
    }
    page.raw("<h4>Answers</h4><dl>");
    for (status, response) in fields(&operation["responses"]) {
        page.raw("<dt><code>").text(status).raw("</code></dt><dd>");
        page.inline(text(&response["description"]));
        render_content(page, &response["content"]);
        page.raw("</dd>");
    }
    page.raw("</dl></article>");
}

/// The forms that a body can have, each with its type.
fn render_content(page: &mut Page, content: &Value) {
    for (media_type, form) in fields(content) {
        page.raw("<p class=\"type\"><code>")
            .text(media_type)
            .raw("</code> ");
        render_type(page, &form["schema"], 0);
        page.raw("</p>");
    }
}

fn render_schema(page: &mut Page, name: &str, schema: &Value) {
    page.raw("<article id=\"")
        .text(&anchor("schema", name))
        .raw("\"><h3>")
        .text(name)
        .raw("</h3>");
    page.prose(text(&schema["description"]));
    if schema["properties"].is_object() {
        page.raw("<table>");
        for (field, inner) in fields(&schema["properties"]) {
            let is_required = items(&schema["required"]).any(|name| name == field);
            let place = if is_required { "required" } else { "" };
            row(page, field, place, inner, text(&inner["description"]));
        }
        page.raw("</table>");
    } else {
        page.raw("<p class=\"type\">");
        render_type(page, schema, 0);
        page.raw("</p>");
    }
    page.raw("</article>");
}

/// One line about a parameter or a field.
fn row(page: &mut Page, name: &str, place: &str, schema: &Value, description: &str) {
    page.raw("<tr><th scope=\"row\"><code>")
        .text(name)
        .raw("</code><small>")
        .text(place)
        .raw("</small></th><td>");
    page.raw("<span class=\"type\">");
    render_type(page, schema, 0);
    page.raw("</span> ");
    page.inline(description);
    page.raw("</td></tr>");
}

fn required(flag: &Value) -> &'static str {
    if flag == true { ", required" } else { "" }
}

/// The type that `schema` says, with links to the named ones.
fn render_type(page: &mut Page, schema: &Value, depth: usize) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        page.link(&anchor("schema", name), name);
        return;
    }
    if depth == DEEPEST {
        page.text("…");
        return;
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        if schema[several].is_array() {
            for (index, inner) in items(&schema[several]).enumerate() {
                page.raw(if index > 0 { " or " } else { "" });
                render_type(page, inner, depth + 1);
            }
            return;
        }
    }
    if schema["enum"].is_array() {
        for (index, value) in items(&schema["enum"]).enumerate() {
            page.raw(if index > 0 { " or " } else { "" });
            page.raw("<code>").text(&plain(value)).raw("</code>");
        }
        return;
    }
    let names: Vec<&str> = match &schema["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        name => name.as_str().into_iter().collect(),
    };
    if names.contains(&"array") {
        page.text("list of ");
        render_type(page, &schema["items"], depth + 1);
    } else if schema["additionalProperties"].is_object() {
        page.text("map to ");
        render_type(page, &schema["additionalProperties"], depth + 1);
    } else if names.is_empty() {
        page.text("anything");
    } else {
        page.text(&names.join(" or "));
    }
    render_bounds(page, schema);
}

/// The rest of what a schema says about a value.
fn render_bounds(page: &mut Page, schema: &Value) {
    if let Some(format) = schema["format"].as_str() {
        page.text(&format!(" ({format})"));
    }
    for (key, word) in [
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "at least"),
        ("maxLength", "at most"),
        ("minItems", "at least"),
        ("maxItems", "at most"),
    ] {
        if schema[key].is_number() {
            page.text(&format!(", {word} {}", plain(&schema[key])));
        }
    }
}

fn anchor(kind: &str, name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    format!("{kind}-{name}")
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
}

/// HTML that is being written. Only [`Page::raw`] writes markup, and only texts of this file.
#[derive(Default)]
struct Page(String);

impl Page {
    fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    fn element(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.raw("<")
            .raw(name)
            .raw(">")
            .text(text)
            .raw("</")
            .raw(name)
            .raw(">")
    }

    fn link(&mut self, anchor: &str, text: &str) -> &mut Self {
        self.raw("<a href=\"#")
            .text(anchor)
            .raw("\">")
            .text(text)
            .raw("</a>")
    }

    /// `text`, in which what stands between backticks is code.
    fn inline(&mut self, text: &str) -> &mut Self {
        for (index, piece) in text.split('`').enumerate() {
            if index % 2 == 0 {
                self.text(piece);
            } else {
                self.element("code", piece);
            }
        }
        self
    }

    fn prose(&mut self, text: &str) {
        if !text.is_empty() {
            self.raw("<p>").inline(text).raw("</p>");
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_stands_in_the_document_is_text() {
        let hostile = "<script>alert('x')</script>\"";
        let page = render(&json!({
            "info": { "title": hostile, "description": format!("`{hostile}`") },
            "tags": [{ "name": hostile }],
            "paths": { hostile: { "get": { "tags": [hostile], "operationId": hostile } } },
            "components": { "schemas": { hostile: { "type": hostile, "enum": [hostile] } } },
        }));
        assert!(
            !page.contains("<script") && !page.contains("alert('"),
            "{page}"
        );
    }

    #[test]
    fn a_type_that_contains_itself_ends() {
        let mut schema = json!({ "type": "string" });
        for _ in 0..50 {
            schema = json!({ "type": "array", "items": schema });
        }
        let mut page = Page::default();
        render_type(&mut page, &schema, 0);
        assert!(page.0.ends_with("list of …"), "{}", page.0);
    }
}
