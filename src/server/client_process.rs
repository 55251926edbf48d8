//! Notices when the client's process ends without closing the connection.

use std::time::Duration;

/// How often to look. A closed standard input, which is the usual sign, is noticed at once anyway.
const INTERVAL: Duration = Duration::from_secs(3);

/// Returns when the process `id` has ended. Never returns for a process that cannot be seen from here, for example in
/// another process namespace, nor on systems without a way to look.
pub(super) async fn wait_until_gone(id: u32) {
    let Some(start) = start_time(id).await else { return std::future::pending().await };
    // If the id is used again, the new process has another start time.
    while start_time(id).await.as_ref() == Some(&start) {
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Something that distinguishes the process `id` from a later one with the same id; `None` if it is not running.
#[cfg(target_os = "linux")]
async fn start_time(id: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The command's name, in parentheses, may contain anything. The state and the other fields follow the last
    // parenthesis.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    // Field 3 of proc(5) is the state, field 22 the start time.
    let dead = matches!(*fields.first()?, "Z" | "X");
    (!dead).then(|| fields.get(19).copied().unwrap_or_default().to_owned())
}

/// Something that distinguishes the process `id` from a later one with the same id; `None` if it is not running.
#[cfg(all(unix, not(target_os = "linux")))]
async fn start_time(id: u32) -> Option<String> {
    let output =
        tokio::process::Command::new("ps").args(["-o", "lstart=", "-p", &id.to_string()]).output().await.ok()?;
    let start = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !start.is_empty()).then_some(start)
}

#[cfg(not(unix))]
async fn start_time(_: u32) -> Option<String> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_process_is_noticed() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("a child");
        let (id, own) = (child.id(), std::process::id());
        runtime.block_on(async {
            assert!(start_time(own).await.is_some());
            assert!(start_time(id).await.is_some());
            child.kill().expect("killed");
            child.wait().expect("waited for");
            assert_eq!(start_time(id).await, None);
        });
    }
}
