//! What a Rego module mentions, read from its syntax tree: rules, calls, and paths of `input`. The limits of
//! [`super::compile`] and the warnings of [`super::lint`] are about these.

use std::collections::BTreeMap;

use regorus::unstable::{Expr, Literal, Module, Query, Ref, Rule, RuleBody, RuleHead, Span};

/// Where something stands: file, line and column from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub file: String,
    pub line: u32,
    pub column: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Place {
    fn of(span: &Span) -> Self {
        Self {
            file: span.source.file().clone(),
            line: span.line,
            column: span.col,
        }
    }
}

/// One part of a reference: a name, or something that is only known when the rule runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Name(String),
    Computed,
}

/// A rule with everything that it mentions.
#[derive(Debug)]
pub(super) struct RuleSyntax {
    /// Package and name with dots, without `data.`.
    pub path: String,
    pub place: Place,
    /// Names of called functions, as written, resolved through imports: `data.` is kept on what is not a builtin.
    pub calls: Vec<(String, Place)>,
    /// References, resolved through imports: the first part is a variable, `input` or `data`.
    pub references: Vec<(Vec<Part>, Place)>,
    /// `count(x) == 0` as a way to admit: the operand as written.
    pub counted_to_zero: Vec<(String, Place)>,
}

/// A module's package and rules.
#[derive(Debug)]
pub(super) struct ModuleSyntax {
    /// With dots, without `data.`.
    pub package: String,
    pub file: String,
    pub rules: Vec<RuleSyntax>,
}

/// Reads a parsed module.
pub(super) fn read(module: &Module) -> ModuleSyntax {
    let package = dotted(&module.package.refr);
    let mut imports = BTreeMap::new();
    for import in &module.imports {
        let path = parts(&import.refr);
        let alias = match (&import.r#as, path.last()) {
            (Some(span), _) => span.text().to_owned(),
            (None, Some(Part::Name(last))) => last.clone(),
            _ => continue,
        };
        imports.insert(alias, path);
    }
    let rules = module
        .policy
        .iter()
        .map(|rule| read_rule(rule, &package, &imports));
    ModuleSyntax {
        file: module.package.span.source.file().clone(),
        rules: rules.collect(),
        package,
    }
}

fn read_rule(rule: &Ref<Rule>, package: &str, imports: &BTreeMap<String, Vec<Part>>) -> RuleSyntax {
    let mut walk = Walk {
        imports,
        found: RuleSyntax {
            path: package.to_owned(),
            place: Place::of(rule.span()),
            calls: Vec::new(),
            references: Vec::new(),
            counted_to_zero: Vec::new(),
        },
    };
    let refr = match &**rule {
        Rule::Default { refr, value, .. } => {
            walk.expr(value);
            refr
        }
        Rule::Spec { head, bodies, .. } => {
            for body in bodies {
                walk.body(body);
            }
            walk.head(head)
        }
    };
    // The head's own name; `a.b contains x` and `a[b] := x` both define what stands before the bracket.
    for part in parts(refr) {
        let Part::Name(name) = part else { break };
        walk.found.path = format!("{}.{name}", walk.found.path);
    }
    walk.found
}

struct Walk<'a> {
    imports: &'a BTreeMap<String, Vec<Part>>,
    found: RuleSyntax,
}

impl Walk<'_> {
    fn head<'r>(&mut self, head: &'r RuleHead) -> &'r Ref<Expr> {
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                if let Some(assign) = assign {
                    self.expr(&assign.value);
                }
                self.indexes(refr);
                refr
            }
            RuleHead::Set { refr, key, .. } => {
                if let Some(key) = key {
                    self.expr(key);
                }
                self.indexes(refr);
                refr
            }
            RuleHead::Func { refr, assign, .. } => {
                if let Some(assign) = assign {
                    self.expr(&assign.value);
                }
                refr
            }
        }
    }

    fn body(&mut self, body: &RuleBody) {
        if let Some(assign) = &body.assign {
            self.expr(&assign.value);
        }
        self.query(&body.query);
    }

    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn {
                    key,
                    value,
                    collection,
                    ..
                } => self.membership(key.as_deref(), value, collection),
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr),
                Literal::Every { domain, query, .. } => {
                    self.expr(domain);
                    self.query(query);
                }
            }
            for with in &statement.with_mods {
                self.expr(&with.r#as);
            }
        }
    }

    /// Depth is bounded: the parser refuses expressions nested deeper than 32.
    /// `key, value in collection`.
    fn membership(&mut self, key: Option<&Expr>, value: &Expr, collection: &Expr) {
        for expr in key.into_iter().chain([value, collection]) {
            self.expr(expr);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { span, .. } | Expr::RefDot { span, .. } | Expr::RefBrack { span, .. } => {
                let path = self.resolved(parts(expr));
                if !path.is_empty() {
                    self.found.references.push((path, Place::of(span)));
                }
                self.indexes(expr);
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                for item in items {
                    self.expr(item);
                }
            }
            Expr::Object { fields, .. } => {
                for (_, key, value) in fields {
                    self.expr(key);
                    self.expr(value);
                }
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expr(term);
                self.query(query);
            }
            Expr::ObjectCompr {
                key, value, query, ..
            } => {
                self.expr(key);
                self.expr(value);
                self.query(query);
            }
            Expr::Call {
                span, fcn, params, ..
            } => {
                let name = plain(&self.resolved(parts(fcn)));
                self.found.calls.push((name, Place::of(span)));
                for param in params {
                    self.expr(param);
                }
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr),
            Expr::BoolExpr { lhs, rhs, span, .. } => {
                self.zero(lhs, rhs, span);
                self.zero(rhs, lhs, span);
                self.expr(lhs);
                self.expr(rhs);
            }
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                self.expr(lhs);
                self.expr(rhs);
            }
            Expr::Membership {
                key,
                value,
                collection,
                ..
            } => self.membership(key.as_deref(), value, collection),
        }
    }

    fn zero(&mut self, counted: &Expr, zero: &Expr, span: &Span) {
        let Expr::Call { fcn, params, .. } = counted else {
            return;
        };
        let Expr::Number { span: number, .. } = zero else {
            return;
        };
        if plain(&parts(fcn)) == "count"
            && number.text() == "0"
            && let Some(Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. }) =
                params.first().map(|param| &**param)
        {
            let operand = plain(&parts(&params[0]));
            self.found.counted_to_zero.push((operand, Place::of(span)));
        }
    }

    /// The expressions inside the brackets of a reference.
    fn indexes(&mut self, expr: &Expr) {
        match expr {
            Expr::RefDot { refr, .. } => self.indexes(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.indexes(refr);
                self.expr(index);
            }
            Expr::Var { .. } => {}
            other => self.expr(other),
        }
    }

    fn resolved(&self, path: Vec<Part>) -> Vec<Part> {
        let Some(Part::Name(first)) = path.first() else {
            return path;
        };
        match self.imports.get(first) {
            Some(target) if first != "data" && first != "input" => {
                target.iter().cloned().chain(path.into_iter().skip(1)).collect()
            }
            _ => path,
        }
    }
}

/// The parts of a reference; empty when it does not start at a name.
fn parts(expr: &Expr) -> Vec<Part> {
    match expr {
        Expr::Var { span, .. } => vec![Part::Name(span.text().to_owned())],
        Expr::RefDot { refr, field, .. } => {
            let mut path = parts(refr);
            if !path.is_empty() {
                path.push(Part::Name(field.0.text().to_owned()));
            }
            path
        }
        Expr::RefBrack { refr, index, .. } => {
            let mut path = parts(refr);
            if !path.is_empty() {
                path.push(match &**index {
                    Expr::String { value, .. } | Expr::RawString { value, .. } => value
                        .as_string()
                        .map_or(Part::Computed, |text| Part::Name(text.to_string())),
                    _ => Part::Computed,
                });
            }
            path
        }
        _ => Vec::new(),
    }
}

/// With dots; what is computed is `*`.
pub(super) fn plain(path: &[Part]) -> String {
    let names = path.iter().map(|part| match part {
        Part::Name(name) => name.as_str(),
        Part::Computed => "*",
    });
    names.collect::<Vec<_>>().join(".")
}

fn dotted(expr: &Expr) -> String {
    plain(&parts(expr))
}
