//! What can be set about a sandbox, before it starts and while it runs.
//!
//! Owns: the settings and their defaults.

use serde::{Deserialize, Serialize};

use super::rights::Right;

/// How calls that may run as jobs are answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// As recorded from the service: jobs for creates, updates and bulk calls, results for the rest.
    #[default]
    Usual,
    /// A job for every call that changes something.
    Jobs,
    /// The result at once for every call.
    Direct,
}

/// What listings make of `filter[fields][in_use]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InUseFilter {
    /// As the service's own plugins use it.
    #[default]
    Followed,
    /// It, and `filter[ids]` beside it, are as if they were not there.
    IgnoredWithIds,
    /// INVALID_FILTER_FIELDS_PARAM.
    Refused,
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Requests per window and token; 0 for no limit.
    pub rate_limit: u32,
    /// Length of the window, ms.
    pub rate_window_ms: u32,
    /// A fixed window instead of a sliding one.
    pub rate_fixed: bool,
    /// Shortest time a job takes, ms.
    pub job_min_ms: u32,
    /// Longest time a job takes, ms.
    pub job_max_ms: u32,
    /// Jobs or results.
    pub answers: Answers,
    /// `meta.non_localized_focal_points`: the newer metadata shape, which new projects have. Off: the older one, which is by
    /// locale.
    pub by_field: bool,
    /// The older metadata shape has a `poster_time` in each locale; without, it is no permitted key there. Which it is is
    /// not known.
    pub poster_time_by_locale: bool,
    /// A `poster_time` after so many seconds is refused in either shape, as one after a video's end may be; 0 for none.
    pub latest_poster_time_s: u32,
    /// `meta.custom_upload_storage_settings`: no `keep_url`.
    pub custom_storage: bool,
    /// The project's locales, the main one first.
    pub locales: Vec<String>,
    /// How long a presigned URL lives, s.
    pub url_ttl_s: u32,
    /// Creates and updates are checked only inside their jobs.
    pub refuse_late: bool,
    /// How a taken id is told: `VALIDATION_…` as what is wrong with the field `id`, anything else as the error's own code.
    /// Which it is is not known.
    pub taken_id_code: String,
    /// The id of a deleted upload can never be used again.
    pub deleted_ids_stay_taken: bool,
    /// Deleting an upload that records use is refused.
    pub refuse_delete_in_use: bool,
    /// What listings make of a filter by use.
    pub in_use_filter: InUseFilter,
    /// How long a write stays invisible in listings, ms.
    pub listing_lag_ms: u32,
    /// Two tracks of a kind may have one name; the service's video host is known to refuse that.
    pub same_name_tracks: bool,
    /// How long a new track is being prepared before it is ready or errored, ms.
    pub track_ms: u32,
    /// API calls a month before PLAN_UPGRADE_REQUIRED; 0 for no limit.
    pub monthly_calls: u64,
    /// Bytes of all uploads together before PLAN_UPGRADE_REQUIRED; 0 for no limit.
    pub uploadable_bytes: u64,
    /// What the token `sandbox-restricted` may do; nothing else.
    pub rights: Vec<Right>,
    /// The status of INSUFFICIENT_PERMISSIONS: 403, or 401.
    pub permission_status: u16,
    /// `POST /upload-requests` takes a collection, and a token for one collection has to name it.
    pub requests_take_collection: bool,
    /// A bulk call with one upload that the token may not change is refused whole, instead of done for the others.
    pub bulk_refused_whole: bool,
    /// Bytes of one upload before PLAN_UPGRADE_REQUIRED.
    pub largest_upload: u64,
    /// `GET /public-info` tells the token how large one upload may be.
    pub tells_largest_upload: bool,
    /// `GET /subscription-limits` tells the token what is used of the plan.
    pub tells_limits: bool,
    /// Uploads a bulk call takes at most.
    pub bulk_limit: usize,
    /// The longest path and query, bytes.
    pub longest_url: usize,
    /// Digests (hexadecimal) of the contents that the antivirus finds infected.
    pub infected: Vec<String>,
    /// The antivirus says `pending` of a new file until it is told to scan (`{"op":"scan"}`); else it says at once what it
    /// finds.
    pub antivirus_waits: bool,
    /// A verdict that comes later moves the asset's `updated_at`. Whether it does is not known.
    pub verdict_moves_updated_at: bool,
    /// Bulk tags and bulk moves move the assets' `updated_at`. Whether they do is not known.
    pub bulk_moves_updated_at: bool,
    /// An infected asset, whose file is deleted, still tells the digest of that file. Whether it does is not known.
    pub infected_keep_md5: bool,
    /// The CDN serves other bytes of a picture than were uploaded, unless it is asked with `skip-default-optimizations=true`.
    pub cdn_optimises: bool,
    /// The CDN serves an SVG without its scripts, unless it is asked with `svg-sanitize=false`.
    pub cdn_sanitises_svg: bool,
    /// The CDN answers 422 for a video as it was uploaded.
    pub refuses_raw_videos: bool,
    /// An editor's save of custom data drops every value that is an object: the CMS shows names and values. Whether it does
    /// is not known.
    pub editors_flatten_custom_data: bool,
    /// Added to the sandbox's clock, ms.
    pub clock_offset_ms: i64,
    /// The service is down: every connection is closed without a word.
    pub down: bool,
    /// Writes are refused with ENVIRONMENT_IN_READ_ONLY_MODE.
    pub read_only: bool,
    /// Writes are refused with MAINTENANCE_MODE.
    pub maintenance: bool,
    /// Every answer of the API names its environment in `x-environment`.
    pub names_environment: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rate_limit: 60,
            rate_window_ms: 3000,
            rate_fixed: false,
            job_min_ms: 300,
            job_max_ms: 900,
            answers: Answers::Usual,
            by_field: true,
            poster_time_by_locale: true,
            latest_poster_time_s: 0,
            custom_storage: false,
            locales: vec!["en".to_owned()],
            url_ttl_s: 900,
            refuse_late: false,
            taken_id_code: "VALIDATION_UNIQUENESS".to_owned(),
            deleted_ids_stay_taken: false,
            refuse_delete_in_use: true,
            in_use_filter: InUseFilter::Followed,
            listing_lag_ms: 0,
            same_name_tracks: false,
            track_ms: 0,
            monthly_calls: 0,
            uploadable_bytes: 0,
            rights: Vec::new(),
            permission_status: 403,
            requests_take_collection: true,
            bulk_refused_whole: true,
            largest_upload: super::create::MAX_SIZE,
            tells_largest_upload: true,
            tells_limits: true,
            bulk_limit: 200,
            longest_url: 8 * 1024,
            infected: Vec::new(),
            antivirus_waits: false,
            verdict_moves_updated_at: false,
            bulk_moves_updated_at: true,
            infected_keep_md5: true,
            cdn_optimises: true,
            cdn_sanitises_svg: true,
            refuses_raw_videos: false,
            editors_flatten_custom_data: true,
            clock_offset_ms: 0,
            down: false,
            read_only: false,
            maintenance: false,
            names_environment: true,
        }
    }
}

impl Settings {
    /// No rate limit and no job latency: for tests that are about something else.
    #[must_use]
    pub fn fast() -> Self {
        Self { rate_limit: 0, job_min_ms: 0, job_max_ms: 0, ..Self::default() }
    }
}
