<<<<<<< HEAD:api/ui/dist/assets/dash-7TyBV41g.js
<<<<<<< HEAD:api/ui/dist/assets/dash-b8UIocKw.js
<<<<<<<< HEAD:api/ui/dist/assets/dash-DKpi3T_0.js
import{r as e}from"./queries-CjePXYOk.js";var t=`watchingcat/dashboard/1`,n=n=>`${JSON.stringify({format:t,...e(n)},null,2)}\n`;function r(n){let r;try{r=JSON.parse(n)}catch(e){return{wrong:`This is not JSON: ${e.message}`}}return typeof r!=`object`||!r||Array.isArray(r)?{wrong:`This JSON is no dashboard.`}:r.format===t?{own:e(r)}:{other:r}}export{r as n,n as t};
========
import{r as e}from"./queries-D_IdYI9I.js";var t=`watchingcat/dashboard/1`,n=n=>`${JSON.stringify({format:t,...e(n)},null,2)}\n`;function r(n){let r;try{r=JSON.parse(n)}catch(e){return{wrong:`This is not JSON: ${e.message}`}}return typeof r!=`object`||!r||Array.isArray(r)?{wrong:`This JSON is no dashboard.`}:r.format===t?{own:e(r)}:{other:r}}export{r as n,n as t};
>>>>>>>> 15b3b5e (ui/map: the range plays):api/ui/dist/assets/dash-b8UIocKw.js
=======
import{r as e}from"./queries-DOb9lNxs.js";var t=`watchingcat/dashboard/1`,n=n=>`${JSON.stringify({format:t,...e(n)},null,2)}\n`;function r(n){let r;try{r=JSON.parse(n)}catch(e){return{wrong:`This is not JSON: ${e.message}`}}return typeof r!=`object`||!r||Array.isArray(r)?{wrong:`This JSON is no dashboard.`}:r.format===t?{own:e(r)}:{other:r}}export{r as n,n as t};
>>>>>>> 3038edf (views, api, ui: the heatmap of traces counts all that match):api/ui/dist/assets/dash-7TyBV41g.js
=======
import{r as e}from"./queries-CJlWGWjF.js";var t=`watchingcat/dashboard/1`,n=n=>`${JSON.stringify({format:t,...e(n)},null,2)}\n`;function r(n){let r;try{r=JSON.parse(n)}catch(e){return{wrong:`This is not JSON: ${e.message}`}}return typeof r!=`object`||!r||Array.isArray(r)?{wrong:`This JSON is no dashboard.`}:r.format===t?{own:e(r)}:{other:r}}export{r as n,n as t};
>>>>>>> 50a77b6 (ui: the calm state of the first page says what is watched, and nothing stands outside of a landmark):api/ui/dist/assets/dash-YJUv1VfP.js
