//! Says what the build depends on beside the sources: a new migration must be embedded.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
