//! ik_llama.cpp, through the shared library of another project's package: flash attention on, the weights interleaved
//! while they are loaded (`-rtr`), which is its fastest for every type here.
//!
//! It shares symbol names with llama.cpp, which this program is linked with, so it is opened at run time. The
//! parameters in its C interface change between releases. The layouts here are those of `ik-llama-cpp-python` 0.1.5 on
//! PyPI, and its default parameters show whether another release still has them.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::raw::{c_char, c_int, c_void};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use libloading::Library;

use crate::sequences::{CONTEXT, MAX_SEQUENCES, Sequences, compiled_for};

/// `GGML_TYPE_F16`: its default for the KV cache.
const F16: c_int = 1;

/// A C `bool`; another release may have something else in its place.
type Flag = u8;

/// `llama_model_params`.
#[repr(C)]
struct ModelParams {
    devices: *const c_char,
    /// Layers on a GPU, and how they would be split.
    gpu: [i32; 6],
    type_k: c_int,
    type_v: c_int,
    max_context: u32,
    max_sequences: i32,
    micro_batch: i32,
    fitting: [i32; 2],
    fit: Flag,
    worst_graph_tokens: i32,
    types_of_some_layers: [c_int; 4],
    counts_of_some_layers: [i32; 4],
    /// From `tensor_split` to `tensor_buft_overrides`.
    pointers: [*const c_void; 6],
    vocab_only: Flag,
    mmap: Flag,
    mlock: Flag,
    check_tensors: Flag,
    repack: Flag,
    use_thp: Flag,
    validate: Flag,
    merge: [Flag; 2],
    mtp: Flag,
    dry_run: Flag,
    flash_attention: Flag,
    room: Room,
}

/// `llama_context_params`.
#[repr(C)]
struct ContextParams {
    seed: u32,
    positions: u32,
    batch: u32,
    micro_batch: u32,
    max_sequences: u32,
    threads: u32,
    threads_batch: u32,
    extra_alloc: i32,
    worst_case_tokens: i32,
    scaling_pooling_attention: [c_int; 3],
    rope: [f32; 6],
    yarn_original_context: u32,
    defrag_threshold: f32,
    on_eval: [*const c_void; 2],
    type_k: c_int,
    type_v: c_int,
    type_reduce: c_int,
    types_of_some_layers: [c_int; 4],
    counts_of_some_layers: [i32; 4],
    logits_all: Flag,
    embeddings: Flag,
    offload: Flag,
    flash_attention: Flag,
    mla_attention: c_int,
    attention_max_batch: c_int,
    /// From `fused_moe_up_gate` to `graph_reuse`.
    fused: [Flag; 6],
    /// From `min_experts` to `cuda_params`.
    rest: [*const c_void; 7],
    room: Room,
}

/// Space for a release with longer parameters, which would otherwise overwrite other memory before its defaults are
/// refused.
type Room = MaybeUninit<[u64; 32]>;

/// `llama_batch`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Batch {
    len: i32,
    token: *mut i32,
    embedding: *mut f32,
    position: *mut i32,
    sequence_count: *mut i32,
    sequence: *mut *mut i32,
    logits: *mut i8,
    all: [i32; 3],
}

/// The opened library.
pub struct IkLibrary {
    functions: Functions,
    /// The library of the functions, which must stay open while they are used.
    _library: Library,
}

/// The functions that are used, with their names in the C interface.
struct Functions {
    llama_log_set: unsafe extern "C" fn(unsafe extern "C" fn(c_int, *const c_char, *mut c_void), *mut c_void),
    llama_backend_init: unsafe extern "C" fn(),
    llama_print_system_info: unsafe extern "C" fn() -> *const c_char,
    llama_model_default_params: unsafe extern "C" fn() -> ModelParams,
    llama_model_load_from_file: unsafe extern "C" fn(*const c_char, ModelParams) -> *mut c_void,
    llama_free_model: unsafe extern "C" fn(*mut c_void),
    llama_context_default_params: unsafe extern "C" fn() -> ContextParams,
    llama_init_from_model: unsafe extern "C" fn(*mut c_void, ContextParams) -> *mut c_void,
    llama_free: unsafe extern "C" fn(*mut c_void),
    llama_batch_init: unsafe extern "C" fn(i32, i32, i32) -> Batch,
    llama_batch_free: unsafe extern "C" fn(Batch),
    llama_decode: unsafe extern "C" fn(*mut c_void, Batch) -> i32,
    llama_synchronize: unsafe extern "C" fn(*mut c_void),
    llama_kv_cache_seq_rm: unsafe extern "C" fn(*mut c_void, i32, i32, i32) -> bool,
    llama_kv_cache_seq_cp: unsafe extern "C" fn(*mut c_void, i32, i32, i32, i32),
}

impl Functions {
    fn of(library: &Library) -> anyhow::Result<Self> {
        macro_rules! functions {
            ($($name:ident),* $(,)?) => {
                // SAFETY: the signatures are those of the C interface.
                unsafe { Self { $($name: *library.get(concat!(stringify!($name), "\0").as_bytes())?),* } }
            };
        }
        Ok(functions!(
            llama_log_set,
            llama_backend_init,
            llama_print_system_info,
            llama_model_default_params,
            llama_model_load_from_file,
            llama_free_model,
            llama_context_default_params,
            llama_init_from_model,
            llama_free,
            llama_batch_init,
            llama_batch_free,
            llama_decode,
            llama_synchronize,
            llama_kv_cache_seq_rm,
            llama_kv_cache_seq_cp,
        ))
    }

    /// Its default parameters, if they agree with the layouts here.
    fn default_params(&self) -> anyhow::Result<(ModelParams, ContextParams)> {
        // SAFETY: plain C calls, whose result has the layout above or fits in its room.
        let (model, context) = unsafe { ((self.llama_model_default_params)(), (self.llama_context_default_params)()) };
        let model_as_known = (model.type_k, model.type_v, model.micro_batch) == (F16, F16, 512)
            && model.types_of_some_layers == [F16; 4]
            && model.counts_of_some_layers == [-1; 4]
            && (model.mmap, model.repack, model.flash_attention) == (1, 0, 1);
        let context_as_known = (context.positions, context.batch, context.micro_batch) == (512, 2048, 512)
            && (context.max_sequences, context.defrag_threshold) == (1, -1.0)
            && (context.type_k, context.type_v, context.type_reduce) == (F16, F16, F16)
            && context.types_of_some_layers == [F16; 4]
            && context.counts_of_some_layers == [-1; 4]
            && (context.offload, context.flash_attention) == (1, 1);
        ensure!(
            model_as_known && context_as_known,
            "expected the parameters of ik-llama-cpp-python 0.1.5, found others; install that release"
        );
        Ok((model, context))
    }
}

unsafe extern "C" fn quiet(_level: c_int, _text: *const c_char, _data: *mut c_void) {}

impl IkLibrary {
    /// Opens its `libllama`.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        // SAFETY: its initialisers are those of C++ globals.
        let opened = unsafe { Library::new(path) };
        let library = opened.with_context(|| format!("cannot open ik_llama.cpp as {}", path.display()))?;
        let functions = Functions::of(&library)?;
        // SAFETY: plain C calls.
        unsafe {
            (functions.llama_log_set)(quiet, std::ptr::null_mut());
            (functions.llama_backend_init)();
        }
        functions.default_params()?;
        Ok(Self { functions, _library: library })
    }
}

pub struct Ik {
    library: IkLibrary,
    model: *mut c_void,
    context: *mut c_void,
    batch: Batch,
}

impl Ik {
    pub fn load(library: IkLibrary, path: &Path, threads: usize) -> anyhow::Result<Self> {
        let file = CString::new(path.to_string_lossy().as_bytes())?;
        let threads = u32::try_from(threads)?;
        let functions = &library.functions;
        let (mut model_params, mut context_params) = functions.default_params()?;
        model_params.repack = 1;
        context_params.positions = CONTEXT;
        context_params.max_sequences = MAX_SEQUENCES;
        context_params.threads = threads;
        context_params.threads_batch = threads;
        // SAFETY: plain C calls; every pointer is checked before it is used, and freed once, in `drop`.
        unsafe {
            let model = (functions.llama_model_load_from_file)(file.as_ptr(), model_params);
            if model.is_null() {
                bail!("cannot load {}", path.display());
            }
            let context = (functions.llama_init_from_model)(model, context_params);
            if context.is_null() {
                (functions.llama_free_model)(model);
                bail!("makes no context of {CONTEXT} positions");
            }
            let batch = (functions.llama_batch_init)(i32::try_from(CONTEXT)?, 0, 1);
            Ok(Self { library, model, context, batch })
        }
    }
}

impl Sequences for Ik {
    /// Its flash attention ends the process (`GGML_ASSERT(S > 0)`) if a thread's share of the cache belongs only to
    /// other sequences.
    const KEEPS_PROMPTS: bool = false;

    fn pass(&mut self, entries: &[(usize, usize, u32)], logits_from: usize) -> anyhow::Result<()> {
        self.batch.len = i32::try_from(entries.len())?;
        for (index, &(sequence, position, token)) in entries.iter().enumerate() {
            // SAFETY: the batch was made for `CONTEXT` tokens of one sequence each, and no more are fed.
            unsafe {
                *self.batch.token.add(index) = i32::try_from(token)?;
                *self.batch.position.add(index) = i32::try_from(position)?;
                *self.batch.sequence_count.add(index) = 1;
                **self.batch.sequence.add(index) = i32::try_from(sequence)?;
                *self.batch.logits.add(index) = i8::from(index >= logits_from);
            }
        }
        // SAFETY: the context and the batch are alive.
        let status = unsafe { (self.library.functions.llama_decode)(self.context, self.batch) };
        if status != 0 {
            bail!("llama_decode returned {status}");
        }
        // SAFETY: as above.
        unsafe { (self.library.functions.llama_synchronize)(self.context) };
        Ok(())
    }

    fn cut(&mut self, sequence: usize, from: usize) {
        // SAFETY: the context is alive.
        unsafe { (self.library.functions.llama_kv_cache_seq_rm)(self.context, sequence as i32, from as i32, -1) };
    }

    fn share(&mut self, from: usize, to: usize, len: usize) {
        // SAFETY: the context is alive.
        unsafe { (self.library.functions.llama_kv_cache_seq_cp)(self.context, from as i32, to as i32, 0, len as i32) };
    }

    fn instructions(&self) -> String {
        // SAFETY: returns a static string.
        compiled_for(&unsafe { CStr::from_ptr((self.library.functions.llama_print_system_info)()) }.to_string_lossy())
    }
}

impl Drop for Ik {
    fn drop(&mut self) {
        // SAFETY: each was made in `load` and is freed once.
        unsafe {
            (self.library.functions.llama_batch_free)(self.batch);
            (self.library.functions.llama_free)(self.context);
            (self.library.functions.llama_free_model)(self.model);
        }
    }
}
