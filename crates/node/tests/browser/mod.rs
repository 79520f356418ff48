//! What is tested in a page and in a worker alike.

mod durability;
mod hashing;
mod identity;
mod in_indexed_db;
mod in_memory;
mod versions;

use std::cell::Cell;

thread_local! {
    static DATABASES: Cell<u32> = const { Cell::new(0) };
}

/// A database name that no other test, and no earlier run in the same profile, uses.
pub(crate) fn fresh_name(test: &str) -> String {
    let number = DATABASES.with(|count| count.replace(count.get() + 1));
    format!("{test}-{}-{number}", js_sys::Date::now())
}
