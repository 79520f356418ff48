//! The IndexedDB store passes the conformance suite, each fact in a database of its own.

use shoal_node::store::Store;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::conformance::{self, for_each_fact};

macro_rules! test {
    ($fact:ident) => {
        #[wasm_bindgen_test]
        async fn $fact() {
            let name = super::fresh_name(stringify!($fact));
            conformance::$fact(Store::open(&name).await.unwrap()).await.unwrap();
            rexie::Rexie::delete(&name).await.unwrap();
        }
    };
}
for_each_fact!(test);
