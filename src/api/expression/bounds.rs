//! What an expression may cost, known before it runs and counted while it does.
//!
//! In: a compiled expression. Out: the same with every turn of its loops counted, or why it is refused. Invariants: loops stand in each
//! other at most [`LOOPS_MAX`] deep; nothing grows inside a loop, so that no value becomes larger than the object and the text; what runs
//! turns at most [`TURNS_MAX`] times, through a map in the order of its keys. The interpreter knows none of this. Not here: time.

use std::sync::atomic::{AtomicU32, Ordering};

use cel::common::ast::{CallExpr, EntryExpr, Expr, operators};
use cel::objects::Key;
use cel::{Context, ExecutionError, IdedExpr, Value};

/// How many of `exists`, `all`, `filter`, `map` may stand in, or follow on, each other.
pub(super) const LOOPS_MAX: usize = 2;
/// How often all loops together may turn.
pub(super) const TURNS_MAX: u32 = 100_000;
/// No name that people can write.
const TURN: &str = "@turn";
const ORDER: &str = "@order";

/// Teaches the interpreter to count, and to go through a map in one order: its own is chance, and with it where a loop ends.
pub(super) fn count(context: &mut Context<'_>) {
    let turns = AtomicU32::new(0);
    context.add_function(TURN, move |goes_on: bool| {
        if turns.fetch_add(1, Ordering::Relaxed) < TURNS_MAX {
            Ok(goes_on)
        } else {
            Err(ExecutionError::function_error("loop", format!("it looks at more than {TURNS_MAX} items")))
        }
    });
    context.add_function(ORDER, |range: Value| Ok::<_, ExecutionError>(in_order(range)));
}

fn in_order(range: Value) -> Value {
    let Value::Map(map) = range else { return range };
    let mut keys: Vec<&Key> = map.map.keys().collect();
    keys.sort();
    Value::List(keys.into_iter().map(of_key).collect::<Vec<_>>().into())
}

fn of_key(key: &Key) -> Value {
    match key {
        Key::Int(number) => Value::Int(*number),
        Key::Uint(number) => Value::UInt(*number),
        Key::Bool(truth) => Value::Bool(*truth),
        Key::String(text) => Value::String(text.clone()),
    }
}

/// The expression with its loops counted.
///
/// # Errors
/// What in it could cost without bound.
pub(super) fn bounded(mut expression: IdedExpr) -> Result<IdedExpr, String> {
    let loops = visit(&mut expression, None)?;
    if loops > LOOPS_MAX {
        return Err(format!("loops (exists, all, filter, map) stand in each other {loops} deep, at most {LOOPS_MAX}"));
    }
    Ok(expression)
}

/// How deep loops stand in it; `accumulator` is the loop's own variable, inside of one.
fn visit(expression: &mut IdedExpr, accumulator: Option<&str>) -> Result<usize, String> {
    match &mut expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Ok(0),
        Expr::Struct(_) => Err("it builds a message, and there are none here".to_owned()),
        Expr::Select(select) => visit(&mut select.operand, accumulator),
        Expr::Call(call) => called(call, accumulator),
        Expr::List(list) => {
            constant(accumulator, list.elements.iter())?;
            deepest(list.elements.iter_mut(), accumulator)
        }
        Expr::Map(map) => {
            let mut loops = 0;
            for entry in &mut map.entries {
                let EntryExpr::MapEntry(entry) = &mut entry.expr else { continue };
                constant(accumulator, [&entry.key, &entry.value].into_iter())?;
                loops = loops.max(deepest([&mut entry.key, &mut entry.value].into_iter(), accumulator)?);
            }
            Ok(loops)
        }
        Expr::Comprehension(inner) => {
            let before = visit(&mut inner.iter_range, accumulator)?;
            let own = inner.accu_var.clone();
            let within = visit(&mut inner.loop_step, Some(&own))?;
            wrap(&mut inner.loop_cond, TURN);
            wrap(&mut inner.iter_range, ORDER);
            Ok(1 + before.max(within))
        }
    }
}

/// Puts a call of one of our functions around an expression.
fn wrap(expression: &mut IdedExpr, function: &str) {
    let inner = std::mem::take(expression);
    expression.id = inner.id;
    expression.expr = Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args: vec![inner] });
}

fn called(call: &mut CallExpr, accumulator: Option<&str>) -> Result<usize, String> {
    if let (operators::ADD, Some(own)) = (call.func_name.as_str(), accumulator) {
        // What the loop itself adds to what it has: one element, or one.
        return match call.args.as_mut_slice() {
            [IdedExpr { expr: Expr::Ident(name), .. }, added] if name == own => match &mut added.expr {
                Expr::List(list) => deepest(list.elements.iter_mut(), accumulator),
                Expr::Unspecified
                | Expr::Call(_)
                | Expr::Comprehension(_)
                | Expr::Ident(_)
                | Expr::Literal(_)
                | Expr::Map(_)
                | Expr::Select(_)
                | Expr::Struct(_) => Ok(0),
            },
            _ => Err("inside of exists, all, filter and map nothing is added with +".to_owned()),
        };
    }
    let target = call.target.as_deref_mut().into_iter();
    deepest(target.chain(call.args.iter_mut()), accumulator)
}

fn deepest<'a>(all: impl Iterator<Item = &'a mut IdedExpr>, accumulator: Option<&str>) -> Result<usize, String> {
    all.map(|expression| visit(expression, accumulator)).try_fold(0, |deepest, loops| Ok(deepest.max(loops?)))
}

/// In a loop a list or map holds literals only: nothing there repeats what is large.
fn constant<'a>(accumulator: Option<&str>, mut all: impl Iterator<Item = &'a IdedExpr>) -> Result<(), String> {
    if accumulator.is_none() || all.all(|expression| matches!(expression.expr, Expr::Literal(_))) {
        return Ok(());
    }
    Err("inside of exists, all, filter and map a list or map has plain values only".to_owned())
}
