//! Traces in Chrome's format, which Perfetto (ui.perfetto.dev) and chrome://tracing show as bars on tracks.
//!
//! Format: "Trace Event Format", Google, 2016: an array of objects; `ph` "X" is a complete event, "M" names a track.

use serde_json::{Map, Value, json};

/// A bar on a track.
#[derive(Clone, Debug)]
pub struct Event {
    /// Index into the tracks.
    pub track: usize,
    /// What ran.
    pub name: String,
    /// When it began, in seconds.
    pub start: f64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What to show beside it.
    pub args: Map<String, Value>,
}

/// The file's text: the tracks' names, then the events; times in microseconds.
pub fn chrome_trace(tracks: &[&str], events: &[Event]) -> String {
    let named = tracks
        .iter()
        .enumerate()
        .map(|(tid, name)| json!({ "ph": "M", "name": "thread_name", "pid": 1, "tid": tid, "args": { "name": name } }));
    let bars = events.iter().map(|event| {
        json!({
            "ph": "X", "name": event.name, "pid": 1, "tid": event.track,
            "ts": 1e6 * event.start, "dur": 1e6 * event.seconds, "args": event.args,
        })
    });
    let lines: Vec<String> = named.chain(bars).map(|event| event.to_string()).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_stand_on_named_tracks_in_microseconds() {
        let args = Map::from_iter([("flops".to_owned(), json!(8.0))]);
        let event = Event { track: 1, name: "a \"quoted\" name".into(), start: 0.5, seconds: 0.25, args };
        let trace: Value = serde_json::from_str(&chrome_trace(&["CPU", "GPU"], &[event])).unwrap();
        assert_eq!(trace.as_array().unwrap().len(), 3);
        assert_eq!((&trace[1]["ph"], &trace[1]["args"]["name"]), (&json!("M"), &json!("GPU")));
        let bar = json!({
            "ph": "X", "name": "a \"quoted\" name", "pid": 1, "tid": 1,
            "ts": 5e5, "dur": 2.5e5, "args": { "flops": 8.0 },
        });
        assert_eq!(trace[2], bar);
        assert_eq!(serde_json::from_str::<Value>(&chrome_trace(&[], &[])).unwrap(), json!([]));
    }
}
