//! The files of the segments, in the origin's private file system (OPFS, <https://fs.spec.whatwg.org/>).

use js_sys::{ArrayBuffer, AsyncIterator, IteratorNext, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    File, FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetDirectoryOptions, FileSystemGetFileOptions,
    FileSystemSyncAccessHandle, StorageManager,
};

/// A directory with one file a segment, named by its number.
#[derive(Debug)]
pub(super) struct Directory(FileSystemDirectoryHandle);

impl Directory {
    /// The directory of the database `name`, made if need be. `None` where the browser gives none: outside of secure contexts, in private
    /// windows of Firefox, in a window instead of a worker (files can be written there, but not without a copy of the whole at every write).
    pub(super) async fn open(name: &str) -> Option<Directory> {
        if !Reflect::has(&js_sys::global(), &"FileSystemSyncAccessHandle".into()).ok()? {
            return None;
        }
        let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).ok()?;
        let storage: StorageManager = Reflect::get(&navigator, &"storage".into()).ok()?.dyn_into().ok()?;
        Reflect::get(&storage, &"getDirectory".into()).ok()?.is_function().then_some(())?;
        let root: FileSystemDirectoryHandle = JsFuture::from(storage.get_directory()).await.ok()?.dyn_into().ok()?;
        let options = FileSystemGetDirectoryOptions::new();
        options.set_create(true);
        // Names of databases may contain what names of files may not.
        let name = format!("{}.blocks", String::from(js_sys::encode_uri_component(name)));
        JsFuture::from(root.get_directory_handle_with_options(&name, &options)).await.ok()?.dyn_into().ok().map(Directory)
    }

    /// The numbers of all files.
    pub(super) async fn numbers(&self) -> Result<Vec<u32>, JsValue> {
        let names: AsyncIterator = self.0.keys();
        let mut numbers = Vec::new();
        loop {
            let next: IteratorNext = JsFuture::from(names.next()?).await?.unchecked_into();
            if next.done() {
                return Ok(numbers);
            }
            numbers.extend(next.value().as_string().and_then(|name| name.parse::<u32>().ok()));
        }
    }

    /// Opens a file for reading and writing; `create`: also one that is not there. One at a time may hold it, in all tabs together.
    pub(super) async fn acquire(&self, number: u32, create: bool) -> Result<FileSystemSyncAccessHandle, JsValue> {
        let file = self.file(number, create).await?;
        JsFuture::from(file.create_sync_access_handle()).await?.dyn_into()
    }

    /// Some bytes of a file that another tab may hold.
    pub(super) async fn read(&self, number: u32, offset: u64, length: u32) -> Result<Vec<u8>, JsValue> {
        let file: File = JsFuture::from(self.file(number, false).await?.get_file()).await?.unchecked_into();
        let part = file.slice_with_f64_and_f64(offset as f64, offset as f64 + f64::from(length))?;
        let buffer: ArrayBuffer = JsFuture::from(part.array_buffer()).await?.unchecked_into();
        Ok(Uint8Array::new(&buffer).to_vec())
    }

    /// Removes a file. Fails while anybody holds it.
    pub(super) async fn remove(&self, number: u32) -> Result<(), JsValue> {
        JsFuture::from(self.0.remove_entry(&number.to_string())).await.map(drop)
    }

    async fn file(&self, number: u32, create: bool) -> Result<FileSystemFileHandle, JsValue> {
        let options = FileSystemGetFileOptions::new();
        options.set_create(create);
        JsFuture::from(self.0.get_file_handle_with_options(&number.to_string(), &options)).await?.dyn_into()
    }
}
