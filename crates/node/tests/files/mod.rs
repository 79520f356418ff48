//! Large blocks rest in files beside the database: what may happen to those, and that nothing wrong comes of it.

use js_sys::{AsyncIterator, IteratorNext, Reflect};
use shoal_node::store::{Store, Usage};
use shoal_protocol::content::{Block, Cid};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::{
    File, FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetFileOptions, FileSystemReadWriteOptions,
    FileSystemSyncAccessHandle, StorageManager,
};

use crate::blocks::numbered;
use crate::browser::fresh_name;

/// Bytes in front of every block in a file.
const HEAD: u64 = 36;
const SIZE: usize = 300_000;

#[wasm_bindgen_test]
async fn large_blocks_are_in_a_file_and_small_ones_are_not() {
    let name = fresh_name("files");
    let store = Store::open(&name).await.unwrap();
    store.put([numbered(3, SIZE), numbered(50, 2000)].concat()).await.unwrap();
    assert_eq!(sizes(&name).await, [3 * (HEAD + SIZE as u64)]);
    assert_eq!(store.usage().await.unwrap(), Usage { blocks: 53, bytes: 3 * SIZE as u64 + 100_000 });
}

#[wasm_bindgen_test]
async fn a_store_opened_again_reads_and_goes_on_in_the_same_file() {
    let name = fresh_name("again");
    let blocks = numbered(6, SIZE);
    open_and_put(&name, &blocks[..3]).await;
    open_and_put(&name, &blocks[3..]).await;
    assert_eq!(sizes(&name).await, [6 * (HEAD + SIZE as u64)]);
    all_there(&Store::open(&name).await.unwrap(), &blocks).await;
}

#[wasm_bindgen_test]
async fn a_damaged_block_is_absent_and_can_come_back() {
    let name = fresh_name("damaged");
    let blocks = numbered(3, SIZE);
    open_and_put(&name, &blocks).await;
    // As after a power cut: the index is newer than the file.
    let file = acquire(&name, "1").await;
    write(&file, HEAD + 1000, &[0; 5000]);
    file.truncate_with_f64((2 * (HEAD + SIZE as u64) + 10) as f64).unwrap();
    file.close();

    let store = Store::open(&name).await.unwrap();
    for damaged in [&blocks[0], &blocks[2]] {
        assert_eq!(store.get(&damaged.cid).await.unwrap(), None);
        assert!(!store.has(&damaged.cid).await.unwrap());
    }
    all_there(&store, &blocks[1..2]).await;
    assert_eq!(store.usage().await.unwrap(), Usage { blocks: 1, bytes: SIZE as u64 });
    store.put(blocks.clone()).await.unwrap();
    drop(store);
    all_there(&Store::open(&name).await.unwrap(), &blocks).await;
}

#[wasm_bindgen_test]
async fn a_file_that_is_gone_means_absent_blocks() {
    let name = fresh_name("gone");
    let blocks = numbered(2, SIZE);
    open_and_put(&name, &blocks).await;
    remove(&name, "1").await;
    let store = Store::open(&name).await.unwrap();
    assert_eq!(store.get(&blocks[0].cid).await.unwrap(), None);
    store.put(blocks[..1].to_vec()).await.unwrap();
    all_there(&store, &blocks[..1]).await;
    assert_eq!(store.get(&blocks[1].cid).await.unwrap(), None);
}

#[wasm_bindgen_test]
async fn what_was_written_and_never_acknowledged_is_written_over() {
    let name = fresh_name("torn");
    let blocks = numbered(4, SIZE);
    open_and_put(&name, &blocks[..2]).await;
    let end = 2 * (HEAD + SIZE as u64);
    let file = acquire(&name, "1").await;
    write(&file, end, &[7; 123_456]);
    file.close();
    open_and_put(&name, &blocks[2..]).await;
    all_there(&Store::open(&name).await.unwrap(), &blocks).await;
    assert_eq!(sizes(&name).await, [2 * end]);
}

#[wasm_bindgen_test]
async fn a_file_that_nothing_refers_to_is_removed() {
    let name = fresh_name("orphan");
    open_and_put(&name, &numbered(1, SIZE)).await;
    let orphan = acquire(&name, "17").await;
    write(&orphan, 0, &[1; 1000]);
    // One that somebody holds may be a new one of another tab.
    let _store = Store::open(&name).await.unwrap();
    assert_eq!(sizes(&name).await.len(), 2);
    orphan.close();
    let _store = Store::open(&name).await.unwrap();
    assert_eq!(sizes(&name).await.len(), 1);
}

#[wasm_bindgen_test]
async fn deleting_gives_the_space_back() {
    let name = fresh_name("deleting");
    let blocks = numbered(20, SIZE);
    let store = Store::open(&name).await.unwrap();
    store.put(blocks.clone()).await.unwrap();
    let cids: Vec<Cid> = blocks.iter().map(|block| block.cid.clone()).collect();
    // Most of the file: the rest moves.
    store.delete(&cids[..15]).await.unwrap();
    assert_eq!(sizes(&name).await, [5 * (HEAD + SIZE as u64)]);
    all_there(&store, &blocks[15..]).await;
    drop(store);
    let store = Store::open(&name).await.unwrap();
    all_there(&store, &blocks[15..]).await;
    assert_eq!(store.usage().await.unwrap(), Usage { blocks: 5, bytes: 5 * SIZE as u64 });
    store.delete(&cids).await.unwrap();
    assert_eq!(sizes(&name).await, [0_u64; 0]);
    store.put(blocks.clone()).await.unwrap();
    all_there(&store, &blocks).await;
}

#[wasm_bindgen_test]
async fn blocks_move_while_they_are_read_and_written() {
    let name = fresh_name("moving");
    let blocks = numbered(60, SIZE);
    let store = Store::open(&name).await.unwrap();
    store.put(blocks[..40].to_vec()).await.unwrap();
    let deleted: Vec<Cid> = blocks[..30].iter().map(|block| block.cid.clone()).collect();
    let (deleting, (), writing) =
        futures::join!(store.delete(&deleted), all_there(&store, &blocks[30..40]), store.put(blocks[40..].to_vec()));
    deleting.unwrap();
    writing.unwrap();
    all_there(&store, &blocks[30..]).await;
    drop(store);
    all_there(&Store::open(&name).await.unwrap(), &blocks[30..]).await;
}

#[wasm_bindgen_test]
async fn more_than_one_file_is_filled() {
    let name = fresh_name("many");
    let blocks = numbered(80, 1 << 20);
    let store = Store::open(&name).await.unwrap();
    store.put(blocks.clone()).await.unwrap();
    let files = sizes(&name).await;
    assert!(files.len() == 2 && files.iter().all(|size| *size <= 64 << 20), "{files:?}");
    drop(store);
    all_there(&Store::open(&name).await.unwrap(), &blocks).await;
}

#[wasm_bindgen_test]
async fn two_tabs_write_to_files_of_their_own_and_read_each_others() {
    let name = fresh_name("tabs");
    let (one, other) = (Store::open(&name).await.unwrap(), Store::open(&name).await.unwrap());
    let blocks = numbered(10, SIZE);
    let (put_one, put_other) = futures::join!(one.put(blocks[..6].to_vec()), other.put(blocks[4..].to_vec()));
    put_one.unwrap();
    put_other.unwrap();
    for store in [&one, &other] {
        all_there(store, &blocks).await;
        assert_eq!(store.usage().await.unwrap(), Usage { blocks: 10, bytes: 10 * SIZE as u64 });
    }
    assert_eq!(sizes(&name).await.len(), 2);
    // What one deletes is gone for the other, also where it still holds the file.
    other.delete(&blocks.iter().map(|block| block.cid.clone()).collect::<Vec<_>>()).await.unwrap();
    one.put(blocks[..1].to_vec()).await.unwrap();
    all_there(&other, &blocks[..1]).await;
}

async fn open_and_put(name: &str, blocks: &[Block]) {
    Store::open(name).await.unwrap().put(blocks.to_vec()).await.unwrap();
}

async fn all_there(store: &Store, blocks: &[Block]) {
    for block in blocks {
        assert!(store.get(&block.cid).await.unwrap().as_ref() == Some(&block.data));
    }
}

/// Lengths of all files of a database.
async fn sizes(name: &str) -> Vec<u64> {
    let directory = directory(name).await;
    let names: AsyncIterator = directory.keys();
    let mut sizes = Vec::new();
    loop {
        let next: IteratorNext = JsFuture::from(names.next().unwrap()).await.unwrap().unchecked_into();
        if next.done() {
            return sizes;
        }
        let file: FileSystemFileHandle =
            JsFuture::from(directory.get_file_handle(&next.value().as_string().unwrap())).await.unwrap().unchecked_into();
        let file: File = JsFuture::from(file.get_file()).await.unwrap().unchecked_into();
        sizes.push(file.size() as u64);
    }
}

/// Opens a file of a database, as another tab would; makes it if need be.
async fn acquire(name: &str, file: &str) -> FileSystemSyncAccessHandle {
    let options = FileSystemGetFileOptions::new();
    options.set_create(true);
    let file: FileSystemFileHandle =
        JsFuture::from(directory(name).await.get_file_handle_with_options(file, &options)).await.unwrap().unchecked_into();
    JsFuture::from(file.create_sync_access_handle()).await.unwrap().unchecked_into()
}

async fn remove(name: &str, file: &str) {
    JsFuture::from(directory(name).await.remove_entry(file)).await.unwrap();
}

fn write(file: &FileSystemSyncAccessHandle, offset: u64, bytes: &[u8]) {
    let options = FileSystemReadWriteOptions::new();
    options.set_at(offset as f64);
    file.write_with_u8_array_and_options(bytes, &options).unwrap();
}

async fn directory(name: &str) -> FileSystemDirectoryHandle {
    let navigator: JsValue = Reflect::get(&js_sys::global(), &"navigator".into()).unwrap();
    let storage: StorageManager = Reflect::get(&navigator, &"storage".into()).unwrap().unchecked_into();
    let root: FileSystemDirectoryHandle = JsFuture::from(storage.get_directory()).await.unwrap().unchecked_into();
    JsFuture::from(root.get_directory_handle(&format!("{name}.blocks"))).await.unwrap().unchecked_into()
}
