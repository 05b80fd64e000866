//! The image of the sandbox: a container that holds a task's network namespace and does nothing else.
//!
//! Neargate carries it in its own binary and loads it into the engine, so no registry is needed to run a
//! first task. The image is one file, an executable of less than 200 bytes that is written out below
//! instruction by instruction: there is nothing in it that could be attacked, or that would have to be
//! updated. Pure functions, and the same bytes every time: the name of the image is the digest of its
//! configuration, so an engine that has the name has the image.

use bytes::Bytes;
use serde_json::json;
use sha2::{Digest, Sha256};

/// An image as `docker load` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxImage {
    /// `neargate/sandbox:` and the first 12 digits of the configuration's digest.
    pub name: String,
    /// What `POST /images/load` takes.
    pub tar: Bytes,
}

/// The sandbox image for an architecture in Go's words (`amd64`, `arm64`); `None` for any other.
pub fn sandbox_image(architecture: &str) -> Option<SandboxImage> {
    let executable = match architecture {
        "amd64" => executable(EM_X86_64, &PAUSE_X86_64),
        "arm64" => executable(EM_AARCH64, &PAUSE_AARCH64),
        _ => return None,
    };
    let layer = tar(&[("pause", 0o555, &executable)])?;
    let layer_digest = sha256(&layer);
    let config = config(architecture, &layer_digest).to_string();
    let config_digest = sha256(config.as_bytes());
    let name = format!("neargate/sandbox:{}", &config_digest[..12]);
    let config_path = format!("{config_digest}.json");
    let layer_path = format!("{layer_digest}/layer.tar");
    let manifest = json!([{
        "Config": config_path,
        "RepoTags": [name],
        "Layers": [layer_path],
    }])
    .to_string();
    let tar = tar(&[
        (&config_path, 0o444, config.as_bytes()),
        (&layer_path, 0o444, &layer),
        ("manifest.json", 0o444, manifest.as_bytes()),
    ])?;
    Some(SandboxImage {
        name,
        tar: Bytes::from(tar),
    })
}

/// `loop { pause() }`. Process 1 of a namespace is spared every signal that it has no handler for, except
/// SIGKILL from outside: that is the image's stop signal.
const PAUSE_X86_64: [u8; 9] = [
    0xb8, 0x22, 0x00, 0x00, 0x00, // mov eax, 34       number of pause(2)
    0x0f, 0x05, //                   syscall
    0xeb, 0xf7, //                   jmp -9            to the first instruction
];

/// `loop { ppoll(NULL, 0, NULL, NULL, 0) }`: this architecture has no pause(2).
const PAUSE_AARCH64: [u8; 32] = [
    0x00, 0x00, 0x80, 0xd2, // mov x0, #0       no file descriptors
    0x01, 0x00, 0x80, 0xd2, // mov x1, #0       which are none
    0x02, 0x00, 0x80, 0xd2, // mov x2, #0       no timeout
    0x03, 0x00, 0x80, 0xd2, // mov x3, #0       no signal mask
    0x04, 0x00, 0x80, 0xd2, // mov x4, #0       which has no length
    0x28, 0x09, 0x80, 0xd2, // mov x8, #73      number of ppoll(2)
    0x01, 0x00, 0x00, 0xd4, // svc #0
    0xf9, 0xff, 0xff, 0x17, // b -28            to the first instruction
];

/// ELF's numbers for machines.
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;

/// Sizes of ELF's structures for 64 bits.
const ELF_HEADER_BYTES: u16 = 64;
const PROGRAM_HEADER_BYTES: u16 = 56;

/// Where the file is mapped. Any page above the kernel's `mmap_min_addr` would do.
const LOAD_ADDRESS: u64 = 0x40_0000;

/// The largest page that either architecture has.
const PAGE_BYTES: u64 = 0x1_0000;

/// A static executable of one segment: both headers, then the code.
/// Source: System V ABI, "Object Files", with its extension to 64 bits.
fn executable(machine: u16, code: &[u8]) -> Vec<u8> {
    let headers = u64::from(ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES);
    let length = headers + code.len() as u64;
    let mut file = Vec::with_capacity(256);

    // The ELF header.
    file.extend(b"\x7fELF"); //                   magic number
    file.extend([2, 1, 1, 0]); //                 64 bits, little-endian, version 1, System V
    file.extend([0; 8]); //                       padding
    file.extend(2_u16.to_le_bytes()); //          type: executable at a fixed address
    file.extend(machine.to_le_bytes());
    file.extend(1_u32.to_le_bytes()); //          version
    file.extend((LOAD_ADDRESS + headers).to_le_bytes()); // entry point: the first instruction
    file.extend(u64::from(ELF_HEADER_BYTES).to_le_bytes()); // program headers: after this one
    file.extend(0_u64.to_le_bytes()); //          section headers: none
    file.extend(0_u32.to_le_bytes()); //          flags
    file.extend(ELF_HEADER_BYTES.to_le_bytes());
    file.extend(PROGRAM_HEADER_BYTES.to_le_bytes());
    file.extend(1_u16.to_le_bytes()); //          program headers: one
    file.extend([0; 6]); //                       section headers: their size, number, names

    // The program header: the whole file, readable and executable.
    file.extend(1_u32.to_le_bytes()); //          type: to be loaded
    file.extend(5_u32.to_le_bytes()); //          flags: read 4, execute 1
    file.extend(0_u64.to_le_bytes()); //          offset in the file
    file.extend(LOAD_ADDRESS.to_le_bytes()); //   virtual address
    file.extend(LOAD_ADDRESS.to_le_bytes()); //   physical address, not used
    file.extend(length.to_le_bytes()); //         bytes in the file
    file.extend(length.to_le_bytes()); //         bytes in memory
    file.extend(PAGE_BYTES.to_le_bytes()); //     alignment

    file.extend(code);
    file
}

/// Source: OCI image specification, "Image Configuration".
fn config(architecture: &str, layer_digest: &str) -> serde_json::Value {
    let created = "1970-01-01T00:00:00Z";
    json!({
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {
            "Entrypoint": ["/pause"],
            "User": "65534:65534",
            "WorkingDir": "/",
            "StopSignal": "SIGKILL",
            "Labels": { "neargate.role": "sandbox-image" },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
        "history": [{ "created": created, "created_by": "neargate" }],
    })
}

/// An archive of files that belong to root and were written in 1970. Writing to memory does not fail, and a
/// name of less than 100 bytes fits; `None` stands for what cannot be.
fn tar(files: &[(&str, u32, &[u8])]) -> Option<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, mode, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, *content).ok()?;
    }
    archive.into_inner().ok()
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Bytes::copy_from_slice(&Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;

    fn files(archive: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(archive);
        let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 0, "{path}");
            (path, (entry.header().mode().unwrap(), content))
        };
        archive.entries().unwrap().map(read).collect()
    }

    #[test]
    fn the_same_bytes_every_time_and_the_digest_in_the_name() {
        for architecture in ["amd64", "arm64"] {
            let image = sandbox_image(architecture).unwrap();
            assert_eq!(image, sandbox_image(architecture).unwrap());
            let files = files(&image.tar);
            let manifest: serde_json::Value =
                serde_json::from_slice(&files["manifest.json"].1).unwrap();
            let (_, config) = &files[manifest[0]["Config"].as_str().unwrap()];
            let digest = sha256(config);
            assert_eq!(manifest[0]["Config"], format!("{digest}.json"));
            assert_eq!(manifest[0]["RepoTags"][0], image.name);
            assert_eq!(image.name, format!("neargate/sandbox:{}", &digest[..12]));
            let config: serde_json::Value = serde_json::from_slice(config).unwrap();
            let (_, layer) = &files[manifest[0]["Layers"][0].as_str().unwrap()];
            assert_eq!(
                config["rootfs"]["diff_ids"][0],
                format!("sha256:{}", sha256(layer))
            );
            assert_eq!(config["architecture"], architecture);
        }
        assert_eq!(sandbox_image("riscv64"), None);
    }

    #[test]
    fn the_layer_is_one_executable() {
        let image = sandbox_image("amd64").unwrap();
        let outer = files(&image.tar);
        let (_, layer) = outer
            .iter()
            .find(|(path, _)| path.ends_with("/layer.tar"))
            .unwrap();
        let inner = files(&layer.1);
        assert_eq!(inner.keys().collect::<Vec<_>>(), ["pause"]);
        let (mode, pause) = &inner["pause"];
        assert_eq!(*mode, 0o555);
        assert_eq!(pause.len(), 64 + 56 + 9);
    }

    /// Both loops jump back to their own first byte.
    #[test]
    fn the_loops_close() {
        let jump = i8::from_le_bytes([PAUSE_X86_64[8]]);
        assert_eq!(jump.unsigned_abs() as usize, PAUSE_X86_64.len());
        assert!(jump < 0);
        let branch = u32::from_le_bytes(PAUSE_AARCH64[28..].try_into().unwrap());
        assert_eq!(branch >> 26, 0b00_0101);
        let words = (branch << 6).cast_signed() >> 6;
        assert_eq!(28 + i64::from(words) * 4, 0);
    }
}
