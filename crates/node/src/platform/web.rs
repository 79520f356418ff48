//! The browser's half of [`crate::platform`]: tasks, time and how JavaScript errors read.

use std::{future::Future, time::Duration};

use wasm_bindgen::{JsCast, JsValue};

/// Runs a task on this thread until it ends.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    wasm_bindgen_futures::spawn_local(task);
}

/// Waits. Bounded by what `setTimeout` takes (24.8 days).
pub async fn sleep(duration: Duration) {
    futures_timer::Delay::new(duration.min(Duration::from_secs(86_400))).await;
}

/// Milliseconds since the Unix epoch, by the clock of this device (which may be wrong: for display only).
pub fn unix_milliseconds() -> f64 {
    // Not `Date.now()`, which means something else in the package: see `crates/web/ts/clock.ts`.
    js_sys::Date::new_0().get_time()
}

/// A uniformly random number in `0.0..1.0`, for jitter only.
pub fn random_fraction() -> f64 {
    js_sys::Math::random()
}

/// Where this page comes from, such as `https://app.example`; empty where it has no origin.
pub fn origin() -> String {
    js_sys::Reflect::get(&js_sys::global(), &"origin".into()).ok().and_then(|origin| origin.as_string()).unwrap_or_default()
}

/// Whether this browser tells a page that the device changed from one network to another: Chromium's Network Information does.
pub fn tells_of_networks() -> bool {
    let property = |object: &JsValue, name: &str| js_sys::Reflect::get(object, &name.into()).ok().filter(JsValue::is_object);
    property(&js_sys::global(), "navigator").is_some_and(|navigator| property(&navigator, "connection").is_some())
}

/// What a thrown JavaScript value says, for people.
pub fn describe(error: &JsValue) -> String {
    error
        .dyn_ref::<js_sys::Error>()
        .map_or_else(|| error.as_string().unwrap_or_else(|| format!("{error:?}")), |error| String::from(error.message()))
}
