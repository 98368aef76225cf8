//! Builtins that a policy may not call, and bounds on those that multiply what they are given.
//!
//! `regorus` looks at its clock between two steps of a rule, not inside a builtin: one call that makes a terabyte out
//! of a short text would neither be stopped nor survive. Such builtins are replaced here by ones that look first.

use regorus::unstable::{BUILTINS, Expr, Ref, Source, Span};
use regorus::{Engine, Value};

/// Never: they read the clock or chance, reach outside, or are there to waste time. A verdict must follow from its input.
pub(super) const FORBIDDEN: [&str; 7] = [
    "time.now_ns",
    "rand.intn",
    "uuid.rfc4122",
    "http.send",
    "opa.runtime",
    "net.lookup_ip_addr",
    "test.sleep",
];

/// Bytes and elements, all arguments of one call together. Threat: memory.
const MAX_ARGUMENTS: usize = 1 << 20;
/// Bytes of what one call may give back. Threat: memory.
const MAX_RESULT: usize = 4 << 20;
/// Elements of `numbers.range`.
const MAX_RANGE: u64 = 10_000;

/// Builtins whose result can be larger than what they are given, with their number of arguments.
const BOUNDED: [(&str, u8); 17] = [
    ("array.concat", 2),
    ("array.flatten", 1),
    ("base64.encode", 1),
    ("bits.lsh", 2),
    ("concat", 2),
    ("format_int", 2),
    ("hex.encode", 1),
    ("json.marshal", 1),
    ("json.marshal_with_options", 2),
    ("numbers.range", 2),
    ("numbers.range_step", 3),
    ("object.union", 2),
    ("object.union_n", 1),
    ("regex.replace", 3),
    ("replace", 3),
    ("sprintf", 2),
    ("strings.replace_n", 2),
];

/// Puts the guards into an engine.
pub(super) fn install(engine: &mut Engine) -> anyhow::Result<()> {
    for name in FORBIDDEN {
        let refuse = move |_: Vec<Value>| {
            anyhow::bail!("{name} may not be called: a verdict follows from its input alone")
        };
        engine.add_extension(name.to_owned(), arguments_of(name), Box::new(refuse))?;
    }
    let source = Source::from_contents("builtin".to_owned(), "x".to_owned())?;
    let span = Span {
        source,
        line: 1,
        col: 1,
        start: 0,
        end: 1,
    };
    for (name, arguments) in BOUNDED {
        if !BUILTINS.contains_key(name) {
            continue;
        }
        let span = span.clone();
        let bounded = move |values: Vec<Value>| call(name, &span, &values);
        engine.add_extension(name.to_owned(), arguments, Box::new(bounded))?;
    }
    Ok(())
}

fn arguments_of(name: &str) -> u8 {
    BUILTINS.get(name).map_or(1, |(_, arguments)| *arguments)
}

fn call(name: &str, span: &Span, values: &[Value]) -> anyhow::Result<Value> {
    let mut total = 0_usize;
    for value in values {
        total = total.saturating_add(size(value, MAX_ARGUMENTS));
    }
    anyhow::ensure!(
        total <= MAX_ARGUMENTS,
        "{name}: more than {MAX_ARGUMENTS} bytes of arguments"
    );
    anyhow::ensure!(
        result_bound(name, values) <= MAX_RESULT,
        "{name}: the result could be larger than {MAX_RESULT} bytes"
    );
    let Some((builtin, _)) = BUILTINS.get(name) else {
        anyhow::bail!("{name} is not a builtin of this build");
    };
    // The builtin wants the arguments' expressions only to say where an error is.
    let params: Vec<Ref<Expr>> = values
        .iter()
        .map(|_| {
            Ref::new(Expr::Null {
                span: span.clone(),
                value: Value::Null,
                eidx: 0,
            })
        })
        .collect();
    builtin(span, &params, values, true)
}

/// What the result can be at most, bytes, where that is not bounded by the arguments' size.
fn result_bound(name: &str, values: &[Value]) -> usize {
    let text = |n: usize| {
        values
            .get(n)
            .and_then(|value| value.as_string().ok())
            .map_or(0, |text| text.len())
    };
    let number = |n: usize| values.get(n).and_then(|value| value.as_i64().ok());
    match name {
        // A match of nothing between any two characters is replaced as well.
        "replace" | "regex.replace" => (text(0) + 1).saturating_mul(text(2) + text(1) + 1),
        "strings.replace_n" => (text(1) + 1).saturating_mul(size(&values[0], MAX_ARGUMENTS) + 1),
        "concat" => {
            let parts = values.get(1).map_or(0, |value| size(value, MAX_ARGUMENTS));
            (text(0) + 1).saturating_mul(parts + 1)
        }
        "numbers.range" | "numbers.range_step" => match (number(0), number(1)) {
            (Some(from), Some(to)) if from.abs_diff(to) <= MAX_RANGE => 0,
            _ => usize::MAX,
        },
        "bits.lsh" => match number(1) {
            Some(by) if (0..=4_096).contains(&by) => 0,
            _ => usize::MAX,
        },
        // `%1000000000d` is eleven characters.
        "sprintf" if wide(values.first()) => usize::MAX,
        _ => 0,
    }
}

/// Whether a format names a width or precision of more than three digits, or takes one from an argument.
fn wide(format: Option<&Value>) -> bool {
    let Some(Ok(format)) = format.map(Value::as_string) else {
        return false;
    };
    let mut digits = 0;
    let mut after_percent = false;
    for c in format.chars() {
        match c {
            '%' => (after_percent, digits) = (!after_percent, 0),
            '*' if after_percent => return true,
            '0'..='9' if after_percent => digits += 1,
            '.' | '+' | '-' | '#' | ' ' if after_percent => digits = 0,
            _ => after_percent = false,
        }
        if digits > 3 {
            return true;
        }
    }
    false
}

/// Bytes of text and elements, counted up to `limit`: values share their parts, and a hundred of them can stand for
/// more than a machine holds.
fn size(value: &Value, limit: usize) -> usize {
    let mut total = 0_usize;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        total += 8;
        match value {
            Value::String(text) => total += text.len(),
            Value::Array(items) => open.extend(items.iter()),
            Value::Set(items) => open.extend(items.iter()),
            Value::Object(fields) => {
                for (key, value) in fields.iter_sorted() {
                    open.push(key);
                    open.push(value);
                }
            }
            _ => {}
        }
        if total + open.len() > limit {
            return limit + 1;
        }
    }
    total
}
