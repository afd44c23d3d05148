//! Builds anew when the page was built anew: its files become part of the program (`src/api/page.rs`).

fn main() {
    println!("cargo::rerun-if-changed=../dashboard/dist");
}
