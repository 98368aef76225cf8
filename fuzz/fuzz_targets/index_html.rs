//! Index pages in HTML: any bytes are a page or an error.
#![no_main]

use chiron::package::{ProjectName, simple};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let base = url::Url::parse("https://index.invalid/simple/demo/").expect("a URL");
    let name = ProjectName::parse("demo").expect("a name");
    if let Ok(page) = simple::parse_html(body, &base, &name) {
        assert!(page.files.len() <= simple::MAX_PAGE_FILES);
    }
});
