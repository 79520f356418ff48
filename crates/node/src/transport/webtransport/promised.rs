//! What promises come to, one after the other, without new functions for each: a stream asks thousands of times a second.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;

use super::failed;

#[wasm_bindgen]
extern "C" {
    /// A promise that takes functions of JavaScript's, which frees them with the last promise that has them: js-sys takes only such as Rust ends.
    type Thenable;

    #[wasm_bindgen(method)]
    fn then(this: &Thenable, fulfilled: &Function, rejected: &Function) -> Promise;
}

/// Waits for one promise at a time.
#[derive(Debug)]
pub(super) struct Promised {
    state: Rc<RefCell<State>>,
    fulfilled: Function,
    rejected: Function,
}

#[derive(Debug, Default)]
struct State {
    waiting: bool,
    result: Option<Result<JsValue, JsValue>>,
    waker: Option<Waker>,
}

impl Promised {
    pub(super) fn new() -> Self {
        let state = Rc::new(RefCell::new(State::default()));
        let fulfilled = ending(&state, Ok);
        let rejected = ending(&state, Err);
        Self { state, fulfilled, rejected }
    }

    /// Whether one was given whose result was not taken yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.state.borrow().waiting
    }

    /// Takes on a promise. That it may be rejected is thereby attended to, also if nobody asks for the result.
    pub(super) fn wait_for(&self, promise: &Promise) {
        self.state.borrow_mut().waiting = true;
        let _ = promise.unchecked_ref::<Thenable>().then(&self.fulfilled, &self.rejected);
    }

    /// What it came to.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<io::Result<JsValue>> {
        let mut state = self.state.borrow_mut();
        if let Some(result) = state.result.take() {
            state.waiting = false;
            return Poll::Ready(result.map_err(failed));
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            state.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

/// The function that a promise calls when it comes to this kind of result.
fn ending(state: &Rc<RefCell<State>>, kind: fn(JsValue) -> Result<JsValue, JsValue>) -> Function {
    let state = Rc::clone(state);
    let function = move |value| {
        let waker = {
            let mut state = state.borrow_mut();
            state.result = Some(kind(value));
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    };
    Closure::<dyn FnMut(JsValue)>::new(function).into_js_value().unchecked_into()
}
