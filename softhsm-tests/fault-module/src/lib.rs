//! A PKCS#11 module that forwards every call to the module that `FAULT_MODULE_TARGET` names, and
//! injects the faults that the file `FAULT_MODULE_CONTROL` lists.
//!
//! The file is read at every call. A line is a function, a fault, and `once` if the fault is meant
//! for the next call alone; `#` starts a comment. Changing anything in the file, a comment too,
//! makes every `once` good again; so does loading the module anew.
//!
//! ```text
//! C_Sign 0x30 once     the call is not made, and returns this CK_RV
//! C_Sign crash         the process is aborted
//! C_Sign flip          a bit of the output is turned over
//! C_Sign hang          the call waits until the file changes
//! C_Sign length        the length of the output becomes impossible
//! C_Sign slow 2000     the call is made after so many milliseconds
//! ```
//!
//! Every call to a function of the table below adds its name to the file `FAULT_MODULE_CONTROL`
//! with `.log` behind it, so that a test can count calls.

use std::collections::HashSet;
use std::env;
use std::fs::{OpenOptions, read_to_string};
use std::io::Write;
use std::process::abort;
use std::ptr::null_mut;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use cryptoki_sys::*;

/// How often a call that hangs looks whether it still should.
const POLL: Duration = Duration::from_millis(10);

/// The module that does the work, kept loaded for the life of the process.
struct Target {
    _library: Pkcs11,
    real: CK_FUNCTION_LIST,
    faulty: CK_FUNCTION_LIST,
}

// SAFETY: the lists are tables of functions that PKCS#11 lets every thread call; nothing writes to
// them after they were made. `pReserved`-like pointers do not occur in them.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

static TARGET: OnceLock<Option<Target>> = OnceLock::new();

/// The one function that a caller looks up.
///
/// # Safety
/// `list` is null or points to writable space for one pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: the target is a PKCS#11 module, or loading it fails.
    match TARGET.get_or_init(|| unsafe { load() }) {
        Some(target) => {
            // SAFETY: not null, and writable as the caller promised. Callers never write to a list.
            unsafe { *list = (&raw const target.faulty).cast_mut() };
            CKR_OK
        }
        None => CKR_LIBRARY_LOAD_FAILED,
    }
}

/// # Safety
/// `FAULT_MODULE_TARGET` names a PKCS#11 module.
unsafe fn load() -> Option<Target> {
    let path = env::var_os("FAULT_MODULE_TARGET")?;
    // SAFETY: the initialisers of a PKCS#11 module may run in this process.
    let library = unsafe { Pkcs11::new(path) }.ok()?;
    let get = *library.C_GetFunctionList.as_ref().ok()?;
    let mut list = null_mut();
    // SAFETY: `list` is space for one pointer.
    let answer = unsafe { get(&mut list) };
    if answer != CKR_OK || list.is_null() {
        return None;
    }
    // SAFETY: the module returned CKR_OK, so the list is valid while it is loaded, which is for ever.
    let real = unsafe { *list };
    let mut faulty = real;
    hook_all(&mut faulty);
    Some(Target { _library: library, real, faulty })
}

/// Where a call puts what it returns, as far as faults touch it. Null where it returns nothing.
struct Output {
    bytes: *mut CK_BYTE,
    length: *mut CK_ULONG,
}

const NOTHING: Output = Output { bytes: null_mut(), length: null_mut() };

/// Makes a function that injects faults for each line, and `hook_all` which puts them into a list.
macro_rules! hooks {
    ($($function:ident($($argument:ident: $type:ty),*) -> $output:expr;)*) => {
        $(
            #[expect(non_snake_case, reason = "named like what it stands for")]
            unsafe extern "C" fn $function($($argument: $type),*) -> CK_RV {
                let real = TARGET.get().and_then(Option::as_ref).and_then(|target| target.real.$function);
                inject(stringify!($function), $output, || match real {
                    // SAFETY: the caller's arguments, passed on as they came.
                    Some(real) => unsafe { real($($argument),*) },
                    None => CKR_FUNCTION_NOT_SUPPORTED,
                })
            }
        )*

        fn hook_all(list: &mut CK_FUNCTION_LIST) {
            $(list.$function = Some($function);)*
        }
    };
}

hooks! {
    C_Initialize(arguments: *mut ::std::os::raw::c_void) -> NOTHING;
    C_Finalize(reserved: *mut ::std::os::raw::c_void) -> NOTHING;
    C_GetSlotList(present: CK_BBOOL, slots: *mut CK_SLOT_ID, count: *mut CK_ULONG) -> NOTHING;
    C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> NOTHING;
    C_InitToken(slot: CK_SLOT_ID, pin: *mut CK_BYTE, length: CK_ULONG, label: *mut CK_BYTE) -> NOTHING;
    C_InitPIN(session: CK_SESSION_HANDLE, pin: *mut CK_BYTE, length: CK_ULONG) -> NOTHING;
    C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, data: *mut ::std::os::raw::c_void, notify: CK_NOTIFY, session: *mut CK_SESSION_HANDLE) -> NOTHING;
    C_CloseSession(session: CK_SESSION_HANDLE) -> NOTHING;
    C_GetSessionInfo(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO) -> NOTHING;
    C_Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_BYTE, length: CK_ULONG) -> NOTHING;
    C_Logout(session: CK_SESSION_HANDLE) -> NOTHING;
    C_FindObjectsInit(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG) -> NOTHING;
    C_FindObjects(session: CK_SESSION_HANDLE, objects: *mut CK_OBJECT_HANDLE, most: CK_ULONG, count: *mut CK_ULONG) -> Output { bytes: null_mut(), length: count };
    C_FindObjectsFinal(session: CK_SESSION_HANDLE) -> NOTHING;
    C_GetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG) -> NOTHING;
    C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> NOTHING;
    C_GenerateKeyPair(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, public: *mut CK_ATTRIBUTE, publics: CK_ULONG, private: *mut CK_ATTRIBUTE, privates: CK_ULONG, public_key: *mut CK_OBJECT_HANDLE, private_key: *mut CK_OBJECT_HANDLE) -> NOTHING;
    C_SignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) -> NOTHING;
    C_Sign(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, size: CK_ULONG, signature: *mut CK_BYTE, length: *mut CK_ULONG) -> Output { bytes: signature, length };
}

/// A fault, as a line of the control file names it.
enum Fault {
    Crash,
    Flip,
    Hang,
    Length,
    Return(CK_RV),
    Slow(Duration),
}

/// Makes the call, with whatever fault is due.
fn inject(function: &str, output: Output, call: impl FnOnce() -> CK_RV) -> CK_RV {
    log(function);
    match due(function, &output) {
        None => call(),
        Some(Fault::Crash) => abort(),
        Some(Fault::Flip) => {
            let answer = call();
            // SAFETY: the call was made with room for its output, which `due` saw, and succeeded.
            if answer == CKR_OK && unsafe { *output.length } > 0 {
                unsafe { *output.bytes ^= 1 };
            }
            answer
        }
        Some(Fault::Hang) => {
            let ordered = control();
            while control() == ordered {
                sleep(POLL);
            }
            call()
        }
        Some(Fault::Length) => {
            let answer = call();
            // SAFETY: `due` saw that the caller passed a place for the length.
            unsafe { *output.length = CK_ULONG::MAX };
            answer
        }
        Some(Fault::Return(code)) => code,
        Some(Fault::Slow(time)) => {
            sleep(time);
            call()
        }
    }
}

/// The fault that the control file lists for this call, if any.
fn due(function: &str, output: &Output) -> Option<Fault> {
    static SPENT: Mutex<Option<(String, HashSet<usize>)>> = Mutex::new(None);
    let control = control()?;
    let mut spent = SPENT.lock().unwrap_or_else(PoisonError::into_inner);
    let spent = match spent.take() {
        Some((read, spent_lines)) if read == control => spent.insert((read, spent_lines)),
        _ => spent.insert((control.clone(), HashSet::new())),
    };
    for (number, line) in control.lines().enumerate() {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        if words.first() != Some(&function) || spent.1.contains(&number) {
            continue;
        }
        let Some(fault) = parse(&words[1..], output) else { continue };
        if words.last() == Some(&"once") {
            spent.1.insert(number);
        }
        return Some(fault);
    }
    None
}

fn control() -> Option<String> {
    read_to_string(env::var_os("FAULT_MODULE_CONTROL")?).ok()
}

/// A fault that can strike this call: one that needs an output waits for a call that has it.
fn parse(words: &[&str], output: &Output) -> Option<Fault> {
    match *words.first()? {
        "crash" => Some(Fault::Crash),
        "flip" if !output.bytes.is_null() => Some(Fault::Flip),
        "hang" => Some(Fault::Hang),
        "length" if !output.length.is_null() => Some(Fault::Length),
        "slow" => Some(Fault::Slow(Duration::from_millis(words.get(1)?.parse().ok()?))),
        code => Some(Fault::Return(CK_RV::from_str_radix(code.strip_prefix("0x")?, 16).ok()?)),
    }
}

fn log(function: &str) {
    let Some(mut path) = env::var_os("FAULT_MODULE_CONTROL") else { return };
    path.push(".log");
    if let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path) {
        // A line that is missing makes the test fail that counts it.
        let _ = file.write_all(format!("{function}\n").as_bytes());
    }
}
