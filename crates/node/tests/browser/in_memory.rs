//! The memory store passes the conformance suite in wasm too.

use shoal_node::store::Store;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::conformance::{self, for_each_fact};

macro_rules! test {
    ($fact:ident) => {
        #[wasm_bindgen_test]
        async fn $fact() {
            conformance::$fact(Store::memory(u64::MAX)).await.unwrap();
        }
    };
}
for_each_fact!(test);
