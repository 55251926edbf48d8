//! llama.cpp, through its C interface: `-fa on`, the weights mapped, one unified KV cache.

use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_void};
use std::path::Path;

use anyhow::bail;
use llama_cpp_sys_2 as sys;

use crate::sequences::{CONTEXT, MAX_SEQUENCES, Sequences, compiled_for};

pub struct Llama {
    model: *mut sys::llama_model,
    context: *mut sys::llama_context,
    batch: sys::llama_batch,
}

unsafe extern "C" fn quiet(_level: sys::ggml_log_level, _text: *const c_char, _data: *mut c_void) {}

impl Llama {
    pub fn load(path: &Path, threads: usize, repack: bool) -> anyhow::Result<Self> {
        let file = CString::new(path.to_string_lossy().as_bytes())?;
        let threads = i32::try_from(threads)?;
        // SAFETY: plain C calls; every pointer is checked before it is used, and freed once, in `drop`.
        unsafe {
            sys::llama_log_set(Some(quiet), std::ptr::null_mut());
            sys::llama_backend_init();
            let mut params = sys::llama_model_default_params();
            params.use_extra_bufts = repack;
            let model = sys::llama_model_load_from_file(file.as_ptr(), params);
            if model.is_null() {
                bail!("cannot load {}", path.display());
            }
            let mut params = sys::llama_context_default_params();
            params.n_ctx = CONTEXT;
            params.n_seq_max = MAX_SEQUENCES;
            params.kv_unified = true;
            params.n_threads = threads;
            params.n_threads_batch = threads;
            params.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_ENABLED;
            let context = sys::llama_init_from_model(model, params);
            if context.is_null() {
                sys::llama_model_free(model);
                bail!("makes no context of {CONTEXT} positions");
            }
            let batch = sys::llama_batch_init(i32::try_from(CONTEXT)?, 0, 1);
            Ok(Self { model, context, batch })
        }
    }

    fn memory(&self) -> sys::llama_memory_t {
        // SAFETY: the context is alive.
        unsafe { sys::llama_get_memory(self.context) }
    }
}

impl Sequences for Llama {
    const KEEPS_PROMPTS: bool = true;

    fn pass(&mut self, entries: &[(usize, usize, u32)], logits_from: usize) -> anyhow::Result<()> {
        self.batch.n_tokens = i32::try_from(entries.len())?;
        for (index, &(sequence, position, token)) in entries.iter().enumerate() {
            // SAFETY: the batch was made for `CONTEXT` tokens of one sequence each, and no more are fed.
            unsafe {
                *self.batch.token.add(index) = i32::try_from(token)?;
                *self.batch.pos.add(index) = i32::try_from(position)?;
                *self.batch.n_seq_id.add(index) = 1;
                **self.batch.seq_id.add(index) = i32::try_from(sequence)?;
                *self.batch.logits.add(index) = i8::from(index >= logits_from);
            }
        }
        // SAFETY: the context and the batch are alive.
        let status = unsafe { sys::llama_decode(self.context, self.batch) };
        if status != 0 {
            bail!("llama_decode returned {status}");
        }
        // SAFETY: as above.
        unsafe { sys::llama_synchronize(self.context) };
        Ok(())
    }

    fn cut(&mut self, sequence: usize, from: usize) {
        // SAFETY: the context is alive.
        unsafe { sys::llama_memory_seq_rm(self.memory(), sequence as i32, from as i32, -1) };
    }

    fn share(&mut self, from: usize, to: usize, len: usize) {
        // SAFETY: the context is alive.
        unsafe { sys::llama_memory_seq_cp(self.memory(), from as i32, to as i32, 0, len as i32) };
    }

    fn instructions(&self) -> String {
        // SAFETY: returns a static string.
        compiled_for(&unsafe { CStr::from_ptr(sys::llama_print_system_info()) }.to_string_lossy())
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        // SAFETY: each was made in `load` and is freed once.
        unsafe {
            sys::llama_batch_free(self.batch);
            sys::llama_free(self.context);
            sys::llama_model_free(self.model);
        }
    }
}
